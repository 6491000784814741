const mebibyte = 1024 ** 2

/** What an archive may ask of the builder. Beyond any of these it is refused. */
export const defaultLimits = {
  /** The body as sent. */
  uploadBytes: 2048 * mebibyte,
  /** The archive unpacked, hard links counted as the copies that they become. */
  expandedBytes: 8192 * mebibyte,
  /** Unpacked to sent, watched once this much is unpacked. Source trees compress 3 to 15 times. */
  ratio: 200,
  ratioFromBytes: 16 * mebibyte,
  /** Memory that a zstd frame may ask for. */
  windowBytes: 32 * mebibyte,
  entries: 250_000,
  links: 10_000,
  pathBytes: 1024,
  nameBytes: 255,
  depth: 64,
  /** Extended headers: of one entry, and of all. */
  metadataBytes: 64 * 1024,
  metadataTotalBytes: 64 * mebibyte,
  /** How long the sender may be silent. */
  idleMs: 30_000,
  /** The slowest that it may be, measured over this long of waiting for it. The slowest of mobile lines do 4 times this. */
  minBytesPerS: 4 * 1024,
  rateWindowMs: 30_000,
  /** For checking and unpacking, the time in which the sender is waited for left out. */
  unpackMs: 120_000,
}
export type Limits = typeof defaultLimits
