import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { Problem } from '#api/problem.ts'
import { shownName } from '../archive/source-path.ts'
import { manifestName, readManifest } from '../../host/tree-manifest.ts'
import type { TreeFile } from '#api/tree.ts'
import { hexOf } from './digest-hex.ts'
import type { Incoming } from './incoming.ts'
import type { ListedTree } from './read-manifest.ts'

/** A file on disk with some content. */
export type KnownFile = Pick<TreeFile, 'mode' | 'sizeBytes'> & { at: string }

/** How many trees of an app are read to find what it has sent: the newest. */
const treesRead = 4

type Sender = {
  app: string
  sent: readonly string[]
  /** One of `sent`, which is read already. */
  base: ListedTree | null
  trees: string
  incoming: Incoming
}

/**
 * Finds of these files those whose content the app has sent, by SHA-256. Nothing is looked up among
 * what other apps have sent. Files that `base` has under the same path need not be asked for.
 */
export async function findKnown(
  files: readonly TreeFile[],
  { app, sent, base, trees, incoming }: Sender,
): Promise<Map<string, KnownFile>> {
  const wanted = new Set(files.map(({ sha256 }) => sha256))
  const known = new Map<string, KnownFile>()
  const add = (sha256: string, file: () => KnownFile | null) => {
    const found = wanted.has(sha256) ? file() : null
    if (found && wanted.delete(sha256)) known.set(sha256, found)
  }
  const addTree = (tree: ListedTree) => {
    for (const entry of tree.entries)
      if (entry.type === 'file') add(entry.sha256, () => fileOf(tree, entry, trees))
  }

  if (base && wanted.size > 0) addTree(base)
  if (wanted.size > 0)
    for (const [name, at] of incoming.of(app)) add(name.slice(0, 64), () => sentFile(name, at))
  for (const digest of sent.filter((each) => each !== base?.digest).slice(0, treesRead)) {
    if (wanted.size === 0) break
    const tree = await readManifest(join(trees, hexOf(digest), manifestName)).catch(() => null)
    if (tree) addTree(tree)
  }

  for (const { path, sha256, sizeBytes } of files) refuseSize(path, sizeBytes, known.get(sha256))
  return known
}

/** A file of a tree. */
export const fileOf = (
  { digest }: Pick<ListedTree, 'digest'>,
  { path, mode, sizeBytes }: TreeFile,
  trees: string,
): KnownFile => ({ mode, sizeBytes, at: `${trees}/${hexOf(digest)}/files/${path}` })

/** Null: it was removed meanwhile. */
function sentFile(name: string, at: string): KnownFile | null {
  const stat = lstatSync(at, { throwIfNoEntry: false })
  return stat ? { at, mode: name.endsWith('-x') ? 0o755 : 0o644, sizeBytes: stat.size } : null
}

/** The limits count what a manifest says. */
function refuseSize(path: string, sizeBytes: number, known: KnownFile | undefined): void {
  if (!known || known.sizeBytes === sizeBytes) return
  throw new Problem(
    'tree-invalid',
    `The manifest says that ${shownName(Buffer.from(path))} has ${sizeBytes} bytes, and what has its SHA-256 has ${known.sizeBytes}. Read the file again, and send a new manifest.`,
    { facts: { path, sizeBytes, found: known.sizeBytes } },
  )
}
