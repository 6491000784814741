import type { SizeFact, SizesStatus } from '#api/status/sizes.ts'
import { cacheBytes } from './buildkit/cache/cache-limits.ts'
import { stepLimitsOn } from './buildkit/daemon/step-limits.ts'
import type { Config } from './config.ts'
import { bytesOf, type DiskSpace, type Watermark } from './host/disk/disk-space.ts'
import { parallelismRule } from './settings/machine-size.ts'

type Sized = Pick<Config, 'limits' | 'daemon' | 'cache' | 'disk' | 'size' | 'given'>

/** Every limit that depends on the machine, with its origin. `space` is that of the build disk. */
export function sizesStatus(config: Sized, space: DiskSpace | null): SizesStatus {
  const { given, size } = config
  const limits = [...machineLimits(config), ...(space ? volumeLimits(config, space) : [])]
  return {
    ...size,
    volumeBytes: space?.sizeBytes ?? null,
    limits: limits.map((limit): SizeFact => {
      const isGiven = given.includes(limit.setting)
      return { ...limit, ...(isGiven && { from: 'setting', rule: null }) }
    }),
  }
}

function machineLimits({ limits, daemon, size }: Sized): SizeFact[] {
  const steps = stepLimitsOn(size, daemon.limits)
  const { memory, memoryOfAll } = daemon.limits
  const atOnce = { unit: 'at once', from: 'machine', rule: parallelismRule } as const
  return [
    { name: 'builds', value: limits.builds, setting: 'TARMAC_MAX_BUILDS', ...atOnce },
    {
      name: 'builds of one app',
      value: limits.appBuilds,
      setting: 'TARMAC_APP_BUILDS',
      ...atOnce,
      rule: 'as TARMAC_MAX_BUILDS',
    },
    {
      name: 'deploys',
      value: limits.deploys,
      setting: 'TARMAC_MAX_DEPLOYS',
      unit: 'at once',
      ...fixed,
    },
    { name: 'build steps', value: daemon.steps, setting: 'TARMAC_MAX_STEPS', ...atOnce },
    {
      name: 'memory of a build step',
      value: steps.memory,
      setting: 'TARMAC_STEP_MEMORY',
      ...memoryOf(memory),
    },
    {
      name: 'memory of all build steps',
      value: steps.ofAll,
      setting: 'TARMAC_STEPS_MEMORY',
      ...memoryOf(memoryOfAll),
    },
    {
      name: 'CPUs of a build step',
      value: steps.cpus,
      setting: 'TARMAC_STEP_CPUS',
      unit: 'CPUs',
      from: 'machine',
      rule: 'all',
    },
    {
      name: 'processes of a build step',
      value: daemon.limits.processes,
      setting: 'TARMAC_STEP_PROCESSES',
      unit: 'processes',
      ...fixed,
    },
  ]
}

function volumeLimits({ cache, disk }: Sized, space: DiskSpace): SizeFact[] {
  const { maxBytes, appBytes, days } = cacheBytes({ ...cache, minFree: disk.high }, space)
  const bytes = (name: string, setting: string, mark: Watermark): SizeFact => ({
    name,
    value: Math.ceil(bytesOf(mark, space)),
    unit: 'bytes',
    setting,
    ...ruleOf(mark, 'volume'),
  })
  return [
    bytes('build cache', 'TARMAC_CACHE_SIZE', cache.size),
    {
      ...bytes('build cache of one app', 'TARMAC_CACHE_APP', { bytes: appBytes }),
      ...('share' in cache.perApp && {
        from: 'volume',
        rule: `${percent(cache.perApp.share)} of the build cache (${maxBytes} bytes)`,
      }),
    },
    { name: 'age of the cache', value: days, unit: 'days', setting: 'TARMAC_CACHE_DAYS', ...fixed },
    bytes('free space, soft limit', 'TARMAC_DISK_SOFT', disk.soft),
    bytes('free space, hard limit', 'TARMAC_DISK_HIGH', disk.high),
    bytes('free space, refusing limit', 'TARMAC_DISK_LOW', disk.low),
  ]
}

const memoryOf = (share: Watermark) => ({ unit: 'bytes', ...ruleOf(share, 'machine') }) as const

const fixed = { from: 'default', rule: null } as const

const ruleOf = (share: Watermark, of: 'machine' | 'volume') =>
  'share' in share
    ? ({ from: of, rule: `${percent(share.share)} of the ${of}’s` } as const)
    : ({ from: 'default', rule: null } as const)

const percent = (share: number) => `${Number((share * 100).toFixed(2))} %`
