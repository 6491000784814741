import { z } from 'zod'
import { type NewTree, TreeDigest } from '#api/sources/tree-calls.ts'
import { comparePaths, type TreeEntry } from '#api/tree.ts'
import type { CacheFolder } from './cache-folder.ts'

/**
 * A tree that a gateway has taken for an app, its entries in canonical order. The next manifest
 * says only what differs from it.
 */
export type KnownTree = { digest: string; entries: TreeEntry[] }

// The cache has checked that it is what was written.
const Stored = z.object({
  v: z.literal(1),
  digest: TreeDigest,
  entries: z.custom<TreeEntry[]>((value) => Array.isArray(value)),
})
const keyOf = (gateway: string, app: string) => ['tree', gateway, app]

/** The last tree that this computer knows a gateway to have taken for an app. */
export async function readKnownTree(
  cache: CacheFolder,
  gateway: string,
  app: string,
): Promise<KnownTree | null> {
  const read = Stored.safeParse(await cache.read(keyOf(gateway, app)))
  return read.success ? { digest: read.data.digest, entries: read.data.entries } : null
}

export const writeKnownTree = (
  cache: CacheFolder,
  [gateway, app]: [gateway: string, app: string],
  { digest, entries }: KnownTree,
): Promise<void> => cache.write(keyOf(gateway, app), { v: 1, digest, entries })

/** The manifest of a tree: whole, or what differs from a tree that the gateway has. */
export function manifestOf({ digest, entries }: KnownTree, base: KnownTree | null): NewTree {
  if (!base) return { digest, entries }
  const changed: TreeEntry[] = []
  const removed: string[] = []
  let at = 0
  for (const entry of entries) {
    let order = compare(base.entries[at], entry)
    for (; order < 0; order = compare(base.entries[at], entry))
      removed.push(base.entries[at++]!.path)
    if (order > 0 || !isSame(entry, base.entries[at])) changed.push(entry)
    if (order === 0) at++
  }
  for (; at < base.entries.length; at++) removed.push(base.entries[at]!.path)
  return { digest, base: base.digest, entries: changed, removed }
}

/** More than 0: the base has no entry of this path. */
const compare = (before: TreeEntry | undefined, entry: TreeEntry): number =>
  before ? comparePaths(before.path, entry.path) : 1

function isSame(one: TreeEntry, other: TreeEntry | undefined): boolean {
  if (one.type === 'file')
    return other?.type === 'file' && one.sha256 === other.sha256 && one.mode === other.mode
  return one.type === 'link'
    ? other?.type === 'link' && one.target === other.target
    : other?.type === 'folder'
}
