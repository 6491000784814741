import { rm } from 'node:fs/promises'
import { workerData } from 'node:worker_threads'
import type { SourceFacts } from '#api/deployment.ts'
import { obeyCrashOrders } from '../crash-point.ts'
import type { JobPort } from '../host/threads/job-port.ts'
import { serveJobs } from '../host/threads/serve-jobs.ts'
import { workInBackground } from '../host/priority.ts'
import { syncFileSystem } from '../host/sync-file-system.ts'
import { tarBytes } from './body.ts'
import { DigestCheck } from './content-digest.ts'
import type { Limits } from './limits.ts'
import { Meter } from './meter.ts'
import { Staging } from './staging.ts'
import { TarReader } from './archive/tar-reader.ts'
import { unpack } from './archive/unpack.ts'

export type UploadJob = { path: string; limits: Limits; contentDigest: string | undefined }

obeyCrashOrders((workerData as { crashOrders: string }).crashOrders)
workInBackground()
serveJobs({ upload, remove, sync })

/**
 * Checks and unpacks one upload into a staging folder. Gets the body as pieces, answers with the facts of the tree, then
 * is told whether to write what is not written yet. Leaves nothing in the folder unless it was told to.
 */
async function upload({ path, limits, contentDigest }: UploadJob, port: JobPort): Promise<void> {
  await using staging = new Staging(path)
  const meter = new Meter(limits)
  const digest = new DigestCheck(contentDigest)
  const tar = new TarReader(tarBytes(port.pieces(), { limits, meter, digest }), limits, meter)
  const manifest = await unpack({ tar, staging, limits, meter })
  digest.verify()
  const { entries: _, ...facts } = manifest
  port.sendValue(facts satisfies SourceFacts)
  if (!(await port.value<boolean>())) return
  await staging.write(manifest)
  port.sendValue('written')
  await port.value() // the folder has been taken elsewhere, or is not wanted any more
}

/** Removes a tree. Of a large one this is work too: a call for each file. */
async function remove(path: string, port: JobPort): Promise<void> {
  await rm(path, { recursive: true, force: true })
  port.sendValue('removed')
  await port.closed
}

async function sync(path: string, port: JobPort): Promise<void> {
  await syncFileSystem(path)
  port.sendValue('synced')
  await port.closed
}
