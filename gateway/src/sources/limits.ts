import type { Watermark } from '../host/disk/disk-space.ts'

const mebibyte = 1024 ** 2

/** Limits for an archive. An archive that exceeds one is refused. */
export const defaultLimits = {
  /** Size of the body as sent. */
  uploadBytes: 2048 * mebibyte,
  /** Size of the unpacked archive. Hard links count as copies, because they become copies. */
  expandedBytes: 8192 * mebibyte,
  /**
   * Unpacked size to sent size, checked from this unpacked size on. Source trees compress 3 to 15
   * times.
   */
  ratio: 200,
  ratioFromBytes: 16 * mebibyte,
  /** Memory that a zstd frame may require. */
  windowBytes: 32 * mebibyte,
  entries: 250_000,
  pathBytes: 1024,
  nameBytes: 255,
  depth: 64,
  /** Size of extended headers: per entry, and in total. */
  metadataBytes: 64 * 1024,
  metadataTotalBytes: 64 * mebibyte,
  /** How long the sender may send nothing. */
  idleMs: 30_000,
  /**
   * Slowest rate, measured over this much time spent waiting for the sender. The slowest mobile
   * connections are 4 times faster.
   */
  minBytesPerS: 4 * 1024,
  rateWindowMs: 30_000,
  /** Time for one request, however steadily its body comes. */
  receiveMs: 6 * 3_600_000,
  /** Time for checking and unpacking, without the time spent waiting for the sender. */
  unpackMs: 120_000,
  /** What all sources that are being unpacked may take of the volume together. */
  spoolSpace: { share: 1 } as Watermark,
  /** Free space of the volume below which nothing new is accepted. A quarter of it is never used. */
  diskLow: { bytes: 0 } as Watermark,
}
export type Limits = typeof defaultLimits
