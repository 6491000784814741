import { expect, test } from 'vitest'
import {
  bytesOf,
  calmShare,
  isShort,
  isShortOfFiles,
} from '../../../../gateway/src/host/disk/disk-space.ts'

const space = { freeBytes: 100, sizeBytes: 1000, freeFiles: 50, sizeFiles: 100 }

test('a watermark is an amount of bytes, or a share of the disk', () => {
  expect(bytesOf({ bytes: 70 }, space)).toBe(70)
  expect(bytesOf({ share: 0.2 }, space)).toBe(200)
  expect(isShort(space, { bytes: 101 })).toBe(true)
  expect(isShort(space, { bytes: 100 })).toBe(false)
  expect(isShort(space, { bytes: 300 }, 0.25)).toBe(false)
})

test('a disk is short of files below the same share of them', () => {
  const fewFiles = { ...space, freeBytes: 900, freeFiles: 9 }
  expect(isShortOfFiles(fewFiles, { bytes: 100 })).toBe(true)
  expect(isShort(fewFiles, { share: 0.1 })).toBe(true)
  expect(isShort(fewFiles, { share: 0.1 }, 0.5)).toBe(false)
})

test('a file system that does not count files has enough of them', () => {
  const uncounted = { ...space, freeFiles: 0, sizeFiles: 0 }
  expect(isShortOfFiles(uncounted, { share: 0.5 })).toBe(false)
})

test('while nothing is refused, space is freed below the soft mark when idle, and below the hard mark always', () => {
  const marks = { soft: { share: 0.3 }, high: { share: 0.15 } }
  const wanted = (freeBytes: number, isIdle: boolean) =>
    calmShare({ ...space, freeBytes, freeFiles: 100 }, marks, isIdle)
  expect([wanted(301, true), wanted(301, false)]).toEqual([null, null])
  expect([wanted(299, true), wanted(299, false)]).toEqual([0.3, null])
  expect(wanted(149, true)).toBe(0.3)
  expect(wanted(149, false)).toBeCloseTo(0.165)
  expect(calmShare({ ...space, freeFiles: 100 }, { high: { share: 0 } }, true)).toBe(null)
})
