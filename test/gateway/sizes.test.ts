import { expect, test } from 'vitest'
import { SizesStatus } from '../../api/status/sizes.ts'
import { readConfig } from '../../gateway/src/config.ts'
import { sizesStatus } from '../../gateway/src/sizes.ts'

const gib = 2 ** 30
const size = { cpus: 4, memoryBytes: 8 * gib }
const space = { freeBytes: 30 * gib, sizeBytes: 50 * gib, freeFiles: 0, sizeFiles: 0 }

test('every limit has its value, its unit and its origin', () => {
  const status = sizesStatus(readConfig({ TARMAC_MAX_STEPS: '3' }, size), space)
  expect(SizesStatus.parse(status)).toEqual(status)
  const { limits, ...machine } = status
  expect(machine).toEqual({ ...size, volumeBytes: 50 * gib })
  const brief = limits.map(({ name, value, unit, from }) => [name, value, unit, from].join(' · '))
  expect(brief).toEqual([
    'builds · 8 · at once · machine',
    'builds of one app · 8 · at once · machine',
    'deploys · 16 · at once · default',
    'build steps · 3 · at once · setting',
    `memory of a build step · ${6 * gib} · bytes · machine`,
    `memory of all build steps · ${Math.floor(6.8 * gib)} · bytes · machine`,
    'CPUs of a build step · 4 · CPUs · machine',
    'processes of a build step · 4096 · processes · default',
    `build cache · ${40 * gib} · bytes · volume`,
    `build cache of one app · ${20 * gib} · bytes · volume`,
    'age of the cache · 30 · days · default',
    `free space, soft limit · ${15 * gib} · bytes · volume`,
    `free space, hard limit · ${7.5 * gib} · bytes · volume`,
    `free space, refusing limit · ${4 * gib} · bytes · volume`,
  ])
})

test('limits follow the real size of the volume, and lack while it cannot be read', () => {
  const config = readConfig({ TARMAC_CACHE_SIZE: '50%' }, size)
  const cacheOn = (sizeBytes: number) =>
    sizesStatus(config, { ...space, sizeBytes }).limits.find(({ name }) => name === 'build cache')
  expect(cacheOn(100)).toMatchObject({ value: 50, from: 'setting', rule: null })
  expect(cacheOn(200)?.value).toBe(100)
  expect(sizesStatus(config, null)).toMatchObject({ volumeBytes: null })
  expect(sizesStatus(config, null).limits.map(({ setting }) => setting)).not.toContain(
    'TARMAC_CACHE_SIZE',
  )
})
