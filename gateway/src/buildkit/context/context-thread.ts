import { tarBytes } from '#api/tar-writer.ts'
import type { TreeEntry, TreeFile } from '#api/tree.ts'
import { readManifest } from '../../host/tree-manifest.ts'
import type { JobPort } from '../../host/threads/job-port.ts'
import { serveJobs } from '../../host/threads/serve-jobs.ts'
import { workInBackground } from '../../host/priority.ts'
import { filterEntries } from './context-filter.ts'
import { archived, archivePieces, filePieces } from './context-pieces.ts'
import { makeView, surveyEntries, type Rules } from './make-view.ts'

/** Where a tree is, and its entries or the file that lists them. */
export type TreeFiles = { root: string } & Entries
type Entries = { manifest: string } | { entries: readonly TreeEntry[] }
/** `without`: paths that the archive leaves out. */
export type ArchiveJob = TreeFiles & {
  ignore: readonly string[]
  without: readonly string[]
  time: Date
}
export type FileJob = { root: string; file: TreeFile }
export type SurveyJob = TreeFiles & { rules: Rules }
/** `into`: the folder to make. */
export type ViewJob = SurveyJob & { into: string }

workInBackground()
serveJobs({ archive, file, survey, view })

const entriesOf = async (from: Entries): Promise<readonly TreeEntry[]> =>
  'manifest' in from ? (await readManifest(from.manifest)).entries : from.entries

/**
 * Makes the archive of a tree. Sends its length first, and continues when the other end sends any
 * value.
 */
async function archive(
  { root, ignore, without, time, ...from }: ArchiveJob,
  port: JobPort,
): Promise<void> {
  const apart = new Set(without)
  const inBuild = filterEntries(await entriesOf(from), ignore)
  const kept = archived(inBuild.filter(({ path }) => !apart.has(path)))
  port.sendValue(tarBytes(kept))
  await port.value()
  await sendAll(archivePieces(root, kept, time), port)
}

/** Sends a file as `archive` sends a tree. */
async function file({ root, file }: FileJob, port: JobPort): Promise<void> {
  port.sendValue(file.sizeBytes)
  await port.value()
  await sendAll(filePieces(root, file), port)
}

async function sendAll(pieces: AsyncIterable<Buffer>, port: JobPort): Promise<void> {
  for await (const piece of pieces) await port.sendPiece(piece)
  port.sendEnd()
  await port.closed // otherwise pieces in transit could be lost
}

async function survey({ root, rules, ...from }: SurveyJob, port: JobPort): Promise<void> {
  port.sendValue(await surveyEntries(root, await entriesOf(from), rules))
  await port.closed
}

async function view({ root, rules, into, ...from }: ViewJob, port: JobPort): Promise<void> {
  await makeView(root, await entriesOf(from), rules, into)
  port.sendValue('made')
  await port.closed
}
