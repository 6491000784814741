import { mkdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crashPoint } from '#api/flow/crash-point.ts'
import { Problem } from '#api/problem.ts'
import type { PackAnswer } from '#api/sources/tree-calls.ts'
import { syncFileSystem } from '../../host/disk/sync-file-system.ts'
import { syncPaths } from '../../host/disk/sync-paths.ts'
import type { JobPort } from '../../host/threads/job-port.ts'
import { shownName } from '../archive/source-path.ts'
import type { TarEntry } from '../archive/tar-entry.ts'
import { TarReader } from '../archive/tar-reader.ts'
import { noFiles, withEntry } from '../archive/unpack.ts'
import { tarBytes } from '../body.ts'
import { DigestCheck } from '../content-digest.ts'
import { Meter } from '../meter.ts'
import { unpackSlice } from '../staging.ts'
import type { SpoolRoom } from '../spool-room.ts'
import { roomOf, type UploadJob } from '../upload-job.ts'
import { diskMode, sha256Of, smallBytes, writeLarge, writeSmall } from '../write-file.ts'
import { Incoming } from './incoming.ts'
import { objectName, Objects } from './objects.ts'

export type PackJob = UploadJob & { volume: string; app: string }

/** To sync more, one by one, takes longer than to sync the file system. */
const fewPaths = 16

/**
 * Stores the files of a pack, and notes that the app has sent them. Answers with a `PackAnswer` when
 * all of it is synced. What other apps have sent makes no difference, not even in time.
 */
export async function takePack(job: PackJob, port: JobPort): Promise<void> {
  const { path, limits, contentDigest, volume, app } = job
  try {
    mkdirSync(path, { mode: 0o700 })
    const meter = new Meter(limits)
    const digest = new DigestCheck(contentDigest)
    const tar = new TarReader(tarBytes(port.pieces(), { limits, meter, digest }), limits, meter)
    const files = await writeFiles(tar, path, roomOf(job))
    digest.verify()
    if (files.size === 0) throw noFiles()

    await syncAll(
      path,
      Array.from(files.keys(), (name) => join(path, name)),
    )
    crashPoint('pack-synced')
    const changed = await store(files.keys(), { path, objects: new Objects(volume), app, volume })
    await syncAll(path, changed)
    const sizeBytes = [...files.values()].reduce((sum, bytes) => sum + bytes, 0)
    port.sendValue({ files: files.size, sizeBytes } satisfies PackAnswer)
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}

/** Writes each file under its name in the store. Returns their sizes. */
async function writeFiles(
  tar: TarReader,
  folder: string,
  room: SpoolRoom,
): Promise<Map<string, number>> {
  const sizes = new Map<string, number>()
  try {
    for (let entry = await tar.next(); entry; entry = await tar.next()) {
      await unpackSlice.yield()
      const sha256 = hashIn(entry)
      const mode = entry.executable ? 0o755 : 0o644
      const name = objectName({ sha256, mode })
      if (sizes.has(name)) continue
      const file = { path: join(folder, name), mode: diskMode(mode), room }
      const found = await writeFile(tar, entry, file)
      if (found !== sha256) throw wrongContent(sha256, found)
      sizes.set(name, entry.sizeBytes)
    }
  } catch (error) {
    throw error instanceof Problem ? withEntry(error, tar.at) : error
  }
  return sizes
}

async function writeFile(
  tar: TarReader,
  { sizeBytes }: TarEntry,
  { path, mode, room }: { path: string; mode: number; room: SpoolRoom },
): Promise<string> {
  room.takeFile(sizeBytes <= smallBytes ? sizeBytes : 0)
  if (sizeBytes > smallBytes) {
    room.assertRoom(sizeBytes)
    return writeLarge(path, mode, room.taking(tar.body()))
  }
  const content = await tar.wholeBody()
  writeSmall(path, mode, content)
  return sha256Of(content)
}

/** Syncs these, or the whole file system when that is quicker. */
const syncAll = (path: string, changed: string[]): Promise<void> =>
  changed.length <= fewPaths ? syncPaths(changed) : syncFileSystem(path)

type Places = { path: string; objects: Objects; app: string; volume: string }

/** Returns the folders whose names changed. */
async function store(
  names: Iterable<string>,
  { path, objects, app, volume }: Places,
): Promise<string[]> {
  const { note, folders } = new Incoming(volume).open(app)
  const changed = new Set([volume, ...folders])
  for (const name of names) {
    const own = join(path, name)
    const object = objects.pathOf(name)
    objects.add(name, own)
    changed.add(dirname(object)).add(dirname(dirname(object)))
    crashPoint('pack-linking')
    try {
      note(name, object)
    } catch {
      note(name, own) // it was swept at this moment, or has as many links as it may have
    }
    await unpackSlice.yield()
  }
  return [...changed]
}

/** The name of an entry: the SHA-256 of its content. */
function hashIn({ type, path }: TarEntry): string {
  if (type === 'file' && /^[0-9a-f]{64}$/.test(path)) return path
  throw new Problem(
    'pack-invalid',
    'A pack holds regular files alone, each named by the SHA-256 of its content: 64 hex digits, lower case.',
    { facts: { file: shownName(Buffer.from(path)) } },
  )
}

const wrongContent = (file: string, found: string) =>
  new Problem(
    'pack-invalid',
    `The SHA-256 of its content is ${found}. The file changed while it was read, or on the way. Read it again, and send a new manifest.`,
    { facts: { file, found } },
  )
