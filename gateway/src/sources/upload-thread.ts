import { rm } from 'node:fs/promises'
import { workerData } from 'node:worker_threads'
import type { SourceFacts } from '#api/deployment.ts'
import { obeyCrashOrders } from '#api/flow/crash-point.ts'
import type { JobPort } from '../host/threads/job-port.ts'
import { serveJobs } from '../host/threads/serve-jobs.ts'
import { workInBackground } from '../host/priority.ts'
import { tarBytes } from './body.ts'
import { DigestCheck } from './content-digest.ts'
import { Meter } from './meter.ts'
import { Staging } from './staging.ts'
import { roomOf, type UploadJob } from './upload-job.ts'
import { TarReader } from './archive/tar-reader.ts'
import { unpack } from './archive/unpack.ts'
import { sweepSetAside } from './fsck/set-aside.ts'
import { type JoinJob, joinTree } from './trees/join-tree.ts'
import { Incoming } from './trees/incoming.ts'
import { makeSpare, type SpareJob, sweepSpares } from './trees/spares.ts'
import { type SweepJob, sweepObjects } from './trees/sweep-objects.ts'
import { takePack } from './trees/take-pack.ts'
import { takeTree } from './trees/take-tree.ts'

const { crashOrders }: { crashOrders: string } = workerData
obeyCrashOrders(crashOrders)
workInBackground()
serveJobs({ upload, remove, tree: takeTree, pack: takePack, join, spare, sweep })

/**
 * Checks and unpacks one upload into a staging folder. It gets the body as pieces and answers with
 * the facts of the tree. Then the caller says whether to write the rest. Without that, nothing
 * stays in the folder.
 */
async function upload(job: UploadJob, port: JobPort): Promise<void> {
  const { path, limits, contentDigest, isDigestLate = false } = job
  await using staging = new Staging(path, roomOf(job))
  const meter = new Meter(limits)
  const digest = new DigestCheck(contentDigest, isDigestLate)
  const tar = new TarReader(tarBytes(port.pieces(), { limits, meter, digest }), limits, meter)

  const { manifest, leftOut } = await unpack({ tar, staging, limits, meter })
  digest.verify(isDigestLate ? await port.value<string | undefined>() : undefined)
  const { entries: _, ...facts } = manifest

  port.sendValue({ ...facts, ...(leftOut.length > 0 && { leftOut }) } satisfies SourceFacts)
  if (!(await port.value<boolean>())) return

  await staging.write(manifest)
  port.sendValue('written')
  await port.value() // the folder has been moved, or is not needed
}

/** Removes a tree. A large one takes long: one call per file. */
async function remove(path: string, port: JobPort): Promise<void> {
  await rm(path, { recursive: true, force: true })
  port.sendValue('removed')
  await port.closed
}

async function join(job: JoinJob, port: JobPort): Promise<void> {
  port.sendValue(await joinTree(job))
  await port.closed
}

async function spare(job: SpareJob, port: JobPort): Promise<void> {
  port.sendValue(await makeSpare(job))
  await port.closed
}

/** Removes what waited too long, and of the store what nothing uses. */
async function sweep({ volume, spares, mayHaveUnused }: SweepJob, port: JobPort): Promise<void> {
  sweepSetAside(volume)
  const old = (await new Incoming(volume).sweep()) + (await sweepSpares(spares))
  port.sendValue(mayHaveUnused || old > 0 ? await sweepObjects(volume) : 0)
  await port.closed
}
