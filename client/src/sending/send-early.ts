import type { NewTree } from '#api/sources/tree-calls.ts'
import type { Compression } from '../deploy/compression.ts'
import type { SourceCalls } from './calls.ts'
import type { KnownTree } from './known-tree.ts'
import { type MissingFile, packOf } from './packs.ts'
import type { SendingProgress } from './progress.ts'

/** More is asked for first: the gateway may have it. */
const most = { bytes: 256 * 1024, files: 200 }

type Deps = {
  folder: string
  calls: SourceCalls
  compression: Compression
  progress: SendingProgress
}

/** `sent`: resolves when all is on its way. `arrived`: when the gateway has it, or refused it. */
export type EarlyPack = { sent: Promise<void>; arrived: Promise<void> }

/**
 * Sends the files that a tree has and its base does not, before the gateway says what it misses: it
 * stores them while it reads the manifest. Null: there are none, or too many. A failure is not
 * reported: the gateway says what it misses.
 */
export function sendEarly(
  { tree, base, manifest }: { tree: KnownTree; base: KnownTree | null; manifest: NewTree },
  { folder, calls, compression, progress }: Deps,
): EarlyPack | null {
  const files = base ? newFiles(manifest, base) : []
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  if (files.length === 0 || files.length > most.files || bytes > most.bytes) return null

  const all = tree.entries.filter((entry) => entry.type === 'file')
  const allBytes = all.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  progress.plan({ files: files.length, bytes, allFiles: all.length, allBytes })
  const send = async (onSent: () => void) => {
    const pack = await packOf(folder, files, compression)
    let leftBytes = pack.length
    await calls.pack(pack, (more) => {
      progress.sent(more, (more / pack.length) * bytes)
      leftBytes -= more
      if (leftBytes <= 0) onSent()
    })
  }
  let arrived: Promise<void> = Promise.resolve()
  const sent = new Promise<void>((onSent) => {
    arrived = send(onSent)
      .catch(() => {})
      .finally(onSent)
  })
  return { sent, arrived }
}

function newFiles({ entries }: NewTree, base: KnownTree): MissingFile[] {
  const files = entries.filter((entry) => entry.type === 'file')
  if (files.length > most.files) return []
  const found = new Map(files.map((file) => [file.sha256, file]))
  for (const entry of base.entries) if (entry.type === 'file') found.delete(entry.sha256)
  return [...found.values()]
}
