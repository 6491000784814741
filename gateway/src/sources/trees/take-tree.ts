import { isUtf8 } from 'node:buffer'
import { existsSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Problem } from '#api/problem.ts'
import { inMb } from '#api/text/in-mb.ts'
import type { TreeAnswer } from '#api/sources/tree-calls.ts'
import type { TreeFile } from '#api/tree.ts'
import type { JobPort } from '../../host/threads/job-port.ts'
import { tarBytes } from '../body.ts'
import { DigestCheck } from '../content-digest.ts'
import type { Limits } from '../limits.ts'
import { Meter } from '../meter.ts'
import { unpackSlice } from '../staging.ts'
import { roomOf, type UploadJob } from '../upload-job.ts'
import { hexOf } from './digest-hex.ts'
import { Incoming } from './incoming.ts'
import { fileOf, findKnown } from './known-files.ts'
import { linkTree } from './link-tree.ts'
import { Objects } from './objects.ts'
import { type AskedTree, readTree } from './read-manifest.ts'

/** `sent`: the digests of the app's kept trees, newest first. `spares`: see `makeSpare`. */
export type TreeJob = UploadJob & {
  volume: string
  app: string
  sent: readonly string[]
  spares: string
}

/**
 * Takes a manifest, and makes the folder of its tree at `path`, synced, if the app has sent all its
 * files. Answers with a `TreeAnswer`. After `taken` the caller says that the tree is kept.
 */
export async function takeTree(job: TreeJob, port: JobPort): Promise<void> {
  const { path, volume, app, spares } = job
  const trees = join(volume, 'trees')
  const incoming = new Incoming(volume)
  try {
    const tree = await readTree(await bodyText(job, port), { ...job, trees }, job.limits)
    const { base, fresh } = tree
    const files = fresh.filter((entry) => entry.type === 'file')
    const found = await findKnown(files, { ...job, base, trees, incoming })

    const missing = files.filter(({ sha256 }) => !found.has(sha256))
    if (missing.length > 0) return port.sendValue(answerMissing(missing))
    if (!existsSync(join(trees, hexOf(tree.digest)))) {
      const objects = new Objects(volume)
      const known = (file: TreeFile) =>
        found.get(file.sha256) ?? (base && fileOf(base, file, trees))
      const gone = await linkTree(path, tree, { objects, known, spares, room: roomOf(job) })
      if (gone.length > 0) return port.sendValue(answerMissing(gone))
    }

    port.sendValue(answerTaken(tree))
    await port.value()
    await removeTaken(files, incoming.of(app))
    port.sendValue('removed')
  } finally {
    await rm(path, { recursive: true, force: true }) // unless it has been moved
  }
}

async function bodyText({ limits, contentDigest }: UploadJob, port: JobPort): Promise<string> {
  const meter = new Meter(limits)
  const digest = new DigestCheck(contentDigest)
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of tarBytes(port.pieces(), { limits, meter, digest })) {
    bytes += piece.length
    if (bytes > limits.metadataTotalBytes) throw tooLong(limits)
    pieces.push(piece)
  }
  digest.verify()
  const body = Buffer.concat(pieces)
  if (!isUtf8(body)) throw new Problem('request-invalid', 'The manifest is not UTF-8.')
  return body.toString('utf8')
}

function answerMissing(files: readonly TreeFile[]): TreeAnswer {
  const sizes = new Map(files.map(({ sha256, sizeBytes }) => [sha256, sizeBytes]))
  const missingBytes = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0)
  return { state: 'missing', missing: [...sizes.keys()], missingBytes }
}

function answerTaken({ digest, entries }: AskedTree): TreeAnswer {
  const files = entries.filter((entry) => entry.type === 'file')
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  return { state: 'taken', digest, files: files.length, sizeBytes }
}

/** The tree has these now. */
async function removeTaken(
  files: readonly TreeFile[],
  incoming: Map<string, string>,
): Promise<void> {
  const taken = new Set(files.map(({ sha256 }) => sha256))
  for (const [name, at] of incoming) {
    if (taken.has(name.slice(0, 64))) rmSync(at, { force: true })
    await unpackSlice.yield()
  }
}

const tooLong = ({ metadataTotalBytes: limitBytes }: Limits) =>
  new Problem(
    'archive-too-large',
    `The manifest may have ${inMb(limitBytes)}. Leave out what is not source.`,
    { facts: { limitBytes } },
  )
