import { z } from 'zod'
import { NewTree } from '#api/sources/tree-calls.ts'
import type { TreeEntry } from '#api/tree.ts'
import type { CacheFolder } from './cache-folder.ts'

/** A tree that a gateway has taken for an app. The next manifest says only what differs from it. */
export type KnownTree = { digest: string; entries: TreeEntry[] }

const Stored = NewTree.pick({ digest: true, entries: true }).extend({ v: z.literal(1) })
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
  const before = new Map(base.entries.map((entry) => [entry.path, entry]))
  const changed = entries.filter((entry) => !isSame(entry, before.get(entry.path)))
  const paths = new Set(entries.map(({ path }) => path))
  const removed = [...before.keys()].filter((path) => !paths.has(path))
  return { digest, base: base.digest, entries: changed, removed }
}

function isSame(one: TreeEntry, other: TreeEntry | undefined): boolean {
  if (one.type === 'file')
    return other?.type === 'file' && one.sha256 === other.sha256 && one.mode === other.mode
  return one.type === 'link'
    ? other?.type === 'link' && one.target === other.target
    : other?.type === 'folder'
}
