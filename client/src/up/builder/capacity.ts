import { Problem } from '#api/problem.ts'

/** Fly's own words for a host or region without room. Sources: fly.md 3.11. */
const words =
  /insufficient|no capacity|could not reserve resource|deploys to this host are temporarily disabled/i

export const isNoCapacity = (error: unknown): boolean =>
  error instanceof Problem && words.test(String(error.facts['fly']))

/** What the user can do when Fly has no room anywhere that may be tried. */
export function noCapacity(region: string | null, error: unknown): Problem {
  const fly = error instanceof Problem ? String(error.facts['fly']) : ''
  return new Problem(
    'builder-failed',
    `Fly has no room for the builder${region ? ` in ${region}` : ''} (${fly}). Nothing that was there is lost. Try again later, or name another size (--size shared-cpu-4x:8gb). For a new builder, another region helps too (--region CODE). For one whose host is full: tarmac up --replace makes a new machine on a volume from the last snapshot.`,
    { cause: error },
  )
}
