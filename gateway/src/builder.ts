import { join } from 'node:path'
import type { MachinesApi } from '#fly/machines-api.ts'
import { openBuildDisk, openBuildkit, refreshLimits } from './buildkit/open-buildkit.ts'
import type { Config } from './config.ts'
import { retryWhenFull } from './host/disk/retry-when-full.ts'
import { sandboxKind } from './host/sandbox/sandbox.ts'
import { openLookupNetwork } from './isolation/planner-network.ts'
import type { Logger } from './log.ts'
import { openMirror } from './mirror/open-mirror.ts'
import { plannerAt } from './railpack/open-planner.ts'
import { PlanCache } from './railpack/plan-cache.ts'
import { miseFolder } from './railpack/prepare.ts'
import { probeMs } from './readiness.ts'
import type { Logins } from './registries/logins.ts'
import type { Registry } from './registry/registry.ts'
import { addAnswers, findVersions } from './versions/at-start.ts'
import { openGrowth } from './volume-growth/open-growth.ts'

type Opening = {
  config: Config
  log: Logger
  opening: AsyncDisposableStack
  /** The key of the volume. */
  key: Uint8Array
  registry: Registry
  fly: MachinesApi
  logins: Pick<Logins, 'loginFor'>
}

/** The build daemon, its disk, and the planner. */
export async function openBuilder({ config, log, opening, ...parts }: Opening) {
  const { key, registry, fly, logins } = parts
  const planner = plannerAt(config.railpack, probeMs)
  const [finding, plannerAnswer] = [findVersions(config, miseFolder), planner()]
  // Awaited below, so that the daemon starts meanwhile.
  for (const early of [finding, plannerAnswer]) early.catch(() => {})
  const mirror = await openMirror(config, registry, log, opening)
  const access = { key, loginFor: logins.loginFor }
  const { buildkit, daemon, daemonId } = await openBuildkit(config, access, log, opening).catch(
    async (error: unknown) => {
      await finding // a program that is too old explains more
      throw error
    },
  )
  const disk = opening.use(await openBuildDisk(config, { buildkit, daemon }, log))

  const openLookups = () => openLookupNetwork(config.data, config.buildNetwork)
  const lookups =
    config.planNetwork === 'public' ? opening.use(await retryWhenFull(disk, openLookups)) : null

  const versions = await finding
  const daemonAnswer = buildkit.info(AbortSignal.timeout(probeMs))
  await addAnswers(versions, { planner: plannerAnswer, daemon: daemonAnswer }, log)
  log.info({ sandbox: await sandboxKind() }, 'sandbox of the planner')
  const plans = new PlanCache(join(config.data, 'plans'), key)
  const refresh = () => refreshLimits({ buildkit, daemon })
  const growth = opening.use(openGrowth(config, { fly, refreshLimits: refresh }, log, opening))
  return { ...mirror, buildkit, daemonId, disk, growth, lookups, planner, plans, versions }
}
