/** `4 %`, and not `0 %` for a few of many. */
export function percentOf(part: number, whole: number): string {
  const percent = whole === 0 ? 0 : (100 * part) / whole
  return percent > 0 && percent < 1 ? 'less than 1 %' : `${Math.round(percent)} %`
}
