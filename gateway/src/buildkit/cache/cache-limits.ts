import { bytesOf, type DiskSpace, type Watermark } from '../../host/disk/disk-space.ts'

/** Limits of the build cache, as settings. */
export type CacheLimits = {
  /** Of the whole cache. */
  size: Watermark
  /** What one app may have for itself; a share is one of `size`. */
  perApp: Watermark
  /** What no build used for so many days is removed. */
  days: number
  /** Free space of the disk, for which caches are removed. */
  minFree: Watermark
}

/** The same limits in bytes, for a disk. */
export type CacheBytes = {
  maxBytes: number
  appBytes: number
  minFreeBytes: number
  /** So much is kept although the disk has too little free: other files fill it. */
  reservedBytes: number
  days: number
}

const reservedShare = 0.2

export function cacheBytes(limits: CacheLimits, space: DiskSpace): CacheBytes {
  const maxBytes = Math.ceil(bytesOf(limits.size, space))
  const { perApp } = limits
  return {
    maxBytes,
    appBytes: Math.ceil('bytes' in perApp ? perApp.bytes : perApp.share * maxBytes),
    minFreeBytes: Math.ceil(bytesOf(limits.minFree, space)),
    reservedBytes: Math.ceil(Math.min(maxBytes, reservedShare * space.sizeBytes)),
    days: limits.days,
  }
}
