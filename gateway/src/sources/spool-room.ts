import { Problem } from '#api/problem.ts'
import { inMb } from '#api/text/in-mb.ts'
import {
  bytesOf,
  type DiskSpace,
  fullShare,
  isShort,
  readSpaceNow,
} from '../host/disk/disk-space.ts'
import type { Limits } from './limits.ts'

/** Bytes that all sources have in the spool, and one of them. Threads share the memory of both. */
export type SpoolCount = { all: BigInt64Array; own: BigInt64Array }

const newCount = () => new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT))
const all = newCount()

/** Counts a source in the spool until its end, also if the thread that writes it dies. */
export class SpoolShare {
  readonly count: SpoolCount = { all, own: newCount() }

  end(): void {
    const { own } = this.count
    Atomics.sub(all, 0, Atomics.exchange(own, 0, 0n))
  }
}

type RoomLimits = Pick<Limits, 'spoolSpace' | 'diskLow'>
type Room = { folder: string; limits: RoomLimits; count?: SpoolCount | undefined }

/** How much may be written between two looks at the disk: so many bytes, or files. */
const lookBytes = 4 * 2 ** 20
const lookFiles = 256
/** Near the limit the looks are closer together, because others write too. */
const closer = 4
/** What a file takes beside its content: at most one more block, and its entry. */
const fileBytes = 4096
export const retryAfterSeconds = 30

/**
 * Keeps uploads from filling the volume: what is unpacked may be far more than what was announced,
 * and a body with chunks announces nothing. Call it before each write.
 */
export class SpoolRoom {
  readonly #room: Room
  /** What may be written until the next look, a file counted as its share of `lookBytes`. */
  #leftBytes = 0

  /** `folder` is on the volume. `count`: absent for what is no unpacked source. */
  constructor(room: Room) {
    this.#room = room
  }

  /** Takes room for a file, folder or link, and these bytes of it. Throws `no-space`. */
  takeFile(bytes = 0): void {
    this.#leftBytes -= lookBytes / lookFiles
    this.take(bytes + fileBytes)
  }

  /** Takes room for these bytes. Throws `no-space`. */
  take(bytes: number): void {
    const { count } = this.#room
    if (count) for (const each of [count.own, count.all]) Atomics.add(each, 0, BigInt(bytes))
    this.#leftBytes -= bytes
    if (this.#leftBytes < 0) this.assertRoom(bytes)
  }

  /** The same pieces, each with room taken for it. */
  async *taking(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
    for await (const piece of pieces) {
      this.take(piece.length)
      yield piece
    }
  }

  /** Throws `no-space` if so many bytes more would leave the volume too little. */
  assertRoom(bytes: number): void {
    const { folder, limits, count } = this.#room
    const space = readSpaceNow(folder)
    const after = { ...space, freeBytes: space.freeBytes - bytes }
    if (isShort(after, limits.diskLow, fullShare)) throw volumeFull(space, limits)

    const limitBytes = bytesOf(limits.spoolSpace, space)
    if (count && Atomics.load(count.all, 0) > limitBytes) throw spoolFull(limitBytes)
    this.#leftBytes = untilLook(after, limits)
  }
}

function untilLook(space: DiskSpace, { diskLow }: RoomLimits): number {
  const lowBytes = bytesOf(diskLow, space) * fullShare
  const lowFiles = (lowBytes / space.sizeBytes) * space.sizeFiles
  const files = space.sizeFiles === 0 ? lookFiles : (space.freeFiles - lowFiles) / closer
  return Math.min(lookBytes, (space.freeBytes - lowBytes) / closer, files * (lookBytes / lookFiles))
}

const volumeFull = (space: DiskSpace, { diskLow }: RoomLimits): Problem =>
  new Problem(
    'no-space',
    `The gateway’s volume has ${inMb(space.freeBytes)} and ${space.freeFiles} files free, and needs ${inMb(bytesOf(diskLow, space) * fullShare)} of it for its records. Old build caches are being removed: send it again in ${retryAfterSeconds} s. If this happens again, its operator must give it a larger volume.`,
    { facts: { retryAfterSeconds, freeBytes: space.freeBytes, freeFiles: space.freeFiles } },
  )

const spoolFull = (limitBytes: number): Problem =>
  new Problem(
    'no-space',
    `Sources that are being unpacked may take ${inMb(limitBytes)} of the gateway’s volume together, and this one does not fit in. Send it again in ${retryAfterSeconds} s. If this happens again, its operator must raise TARMAC_SPOOL_SPACE, or give it a larger volume.`,
    { facts: { retryAfterSeconds, limitBytes } },
  )
