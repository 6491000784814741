import { expect, test, vi } from 'vitest'
import { GrowthStatus } from '../../../api/status/disk.ts'
import { GrowthWatch, type GrowthDeps } from '../../../gateway/src/volume-growth/growth-watch.ts'
import { autoOf } from '../../../gateway/src/volume-growth/open-growth.ts'
import { type MountedVolume, planGrowth } from '../../../gateway/src/volume-growth/plan-growth.ts'

const off = { limitGb: 0, addGb: 10, thresholdPercent: 80 }
const on = { ...off, limitGb: 50 }
const volume: MountedVolume = { id: 'vol_1', sizeGb: 20, auto: null }
const byFly = { thresholdPercent: 70, addGb: 5, limitGb: 20 }

test.each([
  [
    'is not full',
    79.9,
    volume,
    on,
    { by: 'gateway', extendToGb: null, limitGb: 50, warning: null },
  ],
  ['is full, and the gateway may extend it', 80, volume, on, { extendToGb: 30, warning: null }],
  ['is almost at its limit', 90, { ...volume, sizeGb: 45 }, on, { extendToGb: 50, warning: null }],
  [
    'is full, and Fly extends it',
    90,
    { ...volume, auto: { ...byFly, limitGb: 40 } },
    on,
    { by: 'fly', extendToGb: null, limitGb: 40, warning: null },
  ],
  [
    'grows by Fly without a limit of its own',
    90,
    { ...volume, auto: { ...byFly, limitGb: 0 } },
    off,
    { by: 'fly', limitGb: 500, warning: null },
  ],
] as const)('a volume that %s', (_, used, mounted, settings, expected) => {
  const { extendToGb, ...status } = planGrowth(used, mounted, settings)
  expect(GrowthStatus.parse(status)).toEqual(status)
  expect({ ...status, extendToGb }).toMatchObject(expected)
})

test.each([
  [
    { ...volume, sizeGb: 50 },
    on,
    'The volume vol_1 of 50 GB is 91 % full, and the gateway extends it no more: TARMAC_VOLUME_LIMIT_GB is 50.',
  ],
  [
    { ...volume, auto: byFly },
    on,
    'The volume vol_1 of 20 GB is 91 % full, and Fly extends it no more: the limit of its mount is 20 GB.',
  ],
  [volume, off, 'The volume vol_1 of 20 GB is 91 % full, and nothing extends it.'],
])('a full volume that will not grow is a warning that says why', (mounted, settings, text) => {
  const { warning, extendToGb } = planGrowth(91.5, mounted, settings)
  expect(warning).toContain(text)
  expect(extendToGb).toBe(null)
})

test('a mount of Fly’s says whether its volume grows by itself', () => {
  expect(autoOf({ volume: 'v', path: '/data' })).toBe(null)
  expect(autoOf({ extend_threshold_percent: 80, add_size_gb: 10, size_gb_limit: 100 })).toEqual({
    thresholdPercent: 80,
    addGb: 10,
    limitGb: 100,
  })
})

/** A volume of 20 GB that becomes as large as it is extended. */
function growing(more: Partial<GrowthDeps> = {}) {
  let sizeGb = 20
  let freeGb = 10
  const calls: number[] = []
  const log = { info: vi.fn(), warn: vi.fn() }
  const asked = vi.fn()
  const watch = new GrowthWatch({
    space: async () => ({
      freeBytes: freeGb * 1e9,
      sizeBytes: sizeGb * 1e9,
      freeFiles: 1,
      sizeFiles: 1,
    }),
    async volume() {
      asked()
      return { id: 'vol_1', sizeGb, auto: null }
    },
    async extend(_id, toGb) {
      calls.push(toGb)
      freeGb += toGb - sizeGb
      sizeGb = toGb
      return { needsRestart: false }
    },
    onGrown: async () => true,
    settings: { ...on, limitGb: 30 },
    log,
    ...more,
  })
  return { watch, calls, log, asked, fill: (gb: number) => (freeGb = gb) }
}

test('the gateway extends a full volume once, adapts its limits, and warns at the limit', async () => {
  const onGrown = vi.fn(async () => true)
  const { watch, calls, log, fill } = growing({ onGrown })
  await watch.look()
  expect([calls, watch.status?.warning]).toEqual([[], null])

  fill(3)
  await watch.look()
  await watch.look()
  expect(calls).toEqual([30])
  expect(onGrown).toHaveBeenCalledOnce()

  fill(2)
  await watch.look()
  await watch.look()
  expect(calls).toEqual([30])
  expect(watch.status?.warning).toContain('TARMAC_VOLUME_LIMIT_GB is 30')
  expect(log.warn).toHaveBeenCalledOnce()

  fill(25)
  for (let look = 0; look < 60; look++) await watch.look()
  expect(watch.status?.warning).toBe(null)
})

test('limits that could not be adapted while builds ran are adapted later', async () => {
  const onGrown = vi.fn(async () => false)
  const { watch, fill } = growing({ onGrown })
  await watch.look()
  fill(3)
  await watch.look()
  await watch.look()
  onGrown.mockResolvedValue(true)
  for (let look = 0; look < 3; look++) await watch.look()
  expect(onGrown).toHaveBeenCalledTimes(2)
})

test('Fly is seldom asked while nothing is full, and an extension that needs a restart says so', async () => {
  const extend = async () => ({ needsRestart: true })
  const { watch, asked, fill } = growing({ extend })
  for (let look = 0; look < 60; look++) await watch.look()
  expect(asked).toHaveBeenCalledOnce()
  fill(1)
  await watch.look()
  expect(watch.status?.warning).toContain('only after a restart')
})

test('on a host that is no machine of Fly’s there is nothing to extend', async () => {
  const { watch, calls, fill } = growing({ volume: async () => null })
  fill(0)
  await watch.look()
  expect([watch.status, calls]).toEqual([null, []])
})
