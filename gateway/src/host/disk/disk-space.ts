import { type StatsFs, statfsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'

/** An amount of a file system: bytes, or a share of its size from 0 to 1. */
export type Watermark = { bytes: number } | { share: number }
export type DiskSpace = {
  freeBytes: number
  sizeBytes: number
  freeFiles: number
  sizeFiles: number
}

/** Share of the low mark. Work that writes is stopped while the gateway can still write its records. */
export const fullShare = 0.25

/** The space of the file system that holds this folder. Null: it cannot be read now. */
export async function readSpace(folder: string): Promise<DiskSpace | null> {
  const found = await statfs(folder).catch(() => null)
  return found && spaceOf(found)
}

/** The same at once: the kernel keeps these numbers in memory. Throws if it cannot be read. */
export const readSpaceNow = (folder: string): DiskSpace => spaceOf(statfsSync(folder))

/** Part of the free space may be reserved for root. As `df` does, do not count it. */
const spaceOf = ({ blocks, bsize, bfree, bavail, ffree, files }: StatsFs): DiskSpace => ({
  freeBytes: bavail * bsize,
  sizeBytes: (blocks - bfree + bavail) * bsize,
  freeFiles: ffree,
  sizeFiles: files,
})

export const bytesOf = (mark: Watermark, { sizeBytes }: DiskSpace): number =>
  'bytes' in mark ? mark.bytes : mark.share * sizeBytes

/** Whether the disk has less free than `part` of the watermark, in bytes or in files (inodes). */
export const isShort = (space: DiskSpace, mark: Watermark, part = 1): boolean =>
  space.freeBytes < bytesOf(mark, space) * part || isShortOfFiles(space, mark, part)

/** Watermarks are for bytes. For files, the same share counts. */
export function isShortOfFiles(space: DiskSpace, mark: Watermark, part = 1): boolean {
  const { sizeBytes, freeFiles, sizeFiles } = space
  if (sizeFiles === 0) return false // the file system does not count files
  return freeFiles < ('bytes' in mark ? mark.bytes / sizeBytes : mark.share) * sizeFiles * part
}

/**
 * The share of the disk to free while nothing is refused: below the high mark at any time, below
 * the soft mark while no work runs. Null: enough is free.
 */
export function calmShare(
  space: DiskSpace,
  { high, soft }: { high: Watermark; soft?: Watermark },
  isIdle: boolean,
): number | null {
  const share = (mark: Watermark) => bytesOf(mark, space) / space.sizeBytes
  if (soft && isIdle && isShort(space, soft)) return share(soft)
  return isShort(space, high) ? share(high) * 1.1 : null
}
