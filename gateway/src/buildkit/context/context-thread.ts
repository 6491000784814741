import type { TreeEntry } from '#api/tree.ts'
import { readManifest } from '../../host/tree-manifest.ts'
import type { JobPort } from '../../host/threads/job-port.ts'
import { serveJobs } from '../../host/threads/serve-jobs.ts'
import { workInBackground } from '../../host/priority.ts'
import { filterEntries } from './context-filter.ts'
import { archivePieces } from './context-pieces.ts'
import { tarBytes } from './context-tar.ts'

export type ArchiveJob = { root: string; ignore: readonly string[]; mtimeSeconds: number } & (
  | { manifest: string }
  | { entries: readonly TreeEntry[] }
)

workInBackground()
serveJobs({ archive })

/**
 * Makes the archive of a tree. Sends its length first, and continues when the other end sends any
 * value.
 */
async function archive(
  { root, ignore, mtimeSeconds, ...from }: ArchiveJob,
  port: JobPort,
): Promise<void> {
  const entries = 'manifest' in from ? (await readManifest(from.manifest)).entries : from.entries
  const kept = filterEntries(entries, ignore)
  port.sendValue(tarBytes(kept))
  await port.value()
  for await (const piece of archivePieces(root, kept, mtimeSeconds)) await port.sendPiece(piece)
  port.sendEnd()
  await port.closed // otherwise pieces in transit could be lost
}
