import { ExposureApi } from '#fly/exposure/exposure-api.ts'
import { overUndici } from '#fly/undici-transport.ts'
import type { Awake } from '../awake/awake.ts'
import type { Config } from '../config.ts'
import { DailyLook, type DailyDeps } from './daily-look.ts'
import { Drift, type DriftDeps } from './drift.ts'

type Opening = {
  config: Pick<Config, 'fly' | 'secrets'>
  log: DriftDeps['log']
  opening: AsyncDisposableStack
  awake: Pick<Awake, 'count'>
}
type Parts = Pick<DriftDeps, 'fly'> &
  Pick<DailyDeps, 'ownerRoutes'> & { store: DriftDeps['store'] & DailyDeps['store'] }

/** Opens what compares apps with what is expected of them, and starts the daily look. */
export async function openDrift(
  { config, log, opening, awake }: Opening,
  { fly, store, ownerRoutes }: Parts,
) {
  const { secrets } = config
  const machines = overUndici(config.fly.api, secrets.fly)
  const web = overUndici(config.fly.webApi, secrets.fly)
  const exposure = opening.use(new ExposureApi({ machines, web }))
  const drift = new Drift({ fly, exposure, store, log })
  const daily = opening.use(await DailyLook.start({ drift, ownerRoutes, store, log }))
  awake.count('drift looks', () => Number(daily.isBusy))
  return { drift, daily }
}
