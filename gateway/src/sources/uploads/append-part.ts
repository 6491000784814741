import type { Readable } from 'node:stream'
import { Problem } from '#api/problem.ts'
import type { UploadChecksum } from '#api/sources/upload.ts'
import type { Limits } from '../limits.ts'
import { sentBytes } from '../sent-bytes.ts'
import { SpoolRoom } from '../spool-room.ts'
import { PartChecksum } from './part-checksum.ts'
import type { UploadFolder, UploadWriter } from './upload-folder.ts'

export type Part = {
  /** Where its first byte goes: the offset of the upload. */
  offsetBytes: number
  body: Readable
  /** Null: it has none. */
  checksum: UploadChecksum | null
  /** Fires when the sender is gone, or another request has gone on. */
  signal: AbortSignal
  limits: Limits
}

/**
 * What a power cut may take at most: so many bytes, or what arrived in so much time. Each sync waits
 * for the disk.
 */
const syncBytes = 16 * 2 ** 20
const syncMs = 1000

/**
 * Writes what a request sends. The bytes count as they are synced. A part with a checksum counts as
 * a whole, after its check, or not at all.
 */
export async function appendPart(folder: UploadFolder, part: Part): Promise<void> {
  assertOffset(folder, part.offsetBytes)
  await using writer = await folder.write()
  const checksum = part.checksum && new PartChecksum(part.checksum)
  try {
    await writeAll(writer, folder, part, checksum)
  } catch (error) {
    // What breaks off is kept as far as it came. A part that is wrong is not.
    const isWrong = checksum !== null || isTooLong(error)
    if (!isWrong) await writer.keep().catch(() => {}) // a full disk: the part's own error says so
    throw tooSlow(error, folder) ?? error
  }
  checksum?.verify()
  await writer.keep()
}

async function writeAll(
  writer: UploadWriter,
  { path, facts: { lengthBytes } }: UploadFolder,
  { body, limits, signal }: Part,
  checksum: PartChecksum | null,
): Promise<void> {
  const room = new SpoolRoom({ folder: path, limits })
  for await (const piece of sentBytes(body, limits, signal)) {
    if (writer.at + piece.length > lengthBytes) throw tooLong(lengthBytes)
    room.take(piece.length)
    await writer.write(piece)
    checksum?.update(piece)

    const { bytes, ms } = writer.unsynced
    // The last bytes count when the body has ended: more than there should be may follow.
    const mayCount = checksum === null && writer.at < lengthBytes
    if (mayCount && (bytes >= syncBytes || ms >= syncMs)) await writer.keep()
  }
}

function assertOffset({ facts, progress }: UploadFolder, asked: number): void {
  const { offsetBytes } = progress
  if (asked !== offsetBytes) throw offsetConflict(asked, offsetBytes, facts.lengthBytes)
}

const offsetConflict = (asked: number, offset: number, length: number) =>
  new Problem(
    'upload-conflict',
    `The upload has ${offset} of ${length} bytes, and this request begins at ${asked}. Go on at ${offset}.`,
    { facts: { offset, length } },
  )

/** For a request that has more bytes than the upload lacks. */
export const tooLong = (length: number) =>
  new Problem(
    'upload-too-long',
    `The upload was announced with ${length} bytes, and this request has more. Its last bytes were not kept. Delete the upload, and start one with the right Upload-Length.`,
    { facts: { length } },
  )

/** The same problem of an upload that can go on. */
function tooSlow(error: unknown, { facts, progress }: UploadFolder): Problem | null {
  if (!(error instanceof Problem) || error.code !== 'upload-stalled') return null
  const [offset, length] = [progress.offsetBytes, facts.lengthBytes]
  return new Problem(
    'upload-stalled',
    `The bytes came too slowly, or not at all. The gateway has ${offset} of ${length} bytes: go on there, over a better connection.`,
    { facts: { ...error.facts, offset, length } },
  )
}

const isTooLong = (error: unknown) => error instanceof Problem && error.code === 'upload-too-long'
