import { Problem } from '#api/problem.ts'

/** The hex digits of a tree's digest: the name of its folder. */
export function hexOf(digest: string): string {
  const [, hex] = /^sha256:([0-9a-f]{64})$/.exec(digest) ?? []
  if (hex !== undefined) return hex
  throw new Problem('internal', `${JSON.stringify(digest)} is no digest of a source tree.`)
}
