import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { Problem } from '#api/problem.ts'
import { shownName } from '../archive/source-path.ts'
import { manifestName, readManifest } from '../../host/tree-manifest.ts'
import type { TreeEntry } from '#api/tree.ts'
import { hexOf } from './digest-hex.ts'
import type { Incoming } from './incoming.ts'

type File = Extract<TreeEntry, { type: 'file' }>
/** A file on disk with some content. */
export type KnownFile = Pick<File, 'mode' | 'sizeBytes'> & { at: string }

/** How many of its trees tell what an app has sent: the newest. */
const treesRead = 4

/**
 * Finds of these files those whose content the app has sent, by SHA-256. Nothing is looked up among
 * what other apps have sent.
 */
export async function findKnown(
  files: readonly File[],
  {
    app,
    sent,
    trees,
    incoming,
  }: { app: string; sent: readonly string[]; trees: string; incoming: Incoming },
): Promise<Map<string, KnownFile>> {
  const wanted = new Set(files.map(({ sha256 }) => sha256))
  const known = new Map<string, KnownFile>()
  const add = (sha256: string, file: KnownFile) => {
    if (wanted.delete(sha256)) known.set(sha256, file)
  }

  for (const [name, at] of incoming.of(app)) {
    const sha256 = name.slice(0, 64)
    if (!wanted.has(sha256)) continue
    const stat = lstatSync(at, { throwIfNoEntry: false })
    if (stat) add(sha256, { at, mode: name === sha256 ? 0o644 : 0o755, sizeBytes: stat.size })
  }
  for (const digest of sent.slice(0, treesRead)) {
    if (wanted.size === 0) break
    const folder = join(trees, hexOf(digest))
    const manifest = await readManifest(join(folder, manifestName)).catch(() => null)
    for (const entry of manifest?.entries ?? [])
      if (entry.type === 'file')
        add(entry.sha256, { ...entry, at: join(folder, 'files', entry.path) })
  }

  for (const { path, sha256, sizeBytes } of files) refuseSize(path, sizeBytes, known.get(sha256))
  return known
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
