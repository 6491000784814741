/** `usual`, or `long` in `npm run test:long`, which repeats more than CI has time for. */
export const amount = (usual: number, long: number): number =>
  process.env['TARMAC_LONG'] ? long : usual
