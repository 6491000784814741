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
  /** Time for checking and unpacking, without the time spent waiting for the sender. */
  unpackMs: 120_000,
}
export type Limits = typeof defaultLimits
