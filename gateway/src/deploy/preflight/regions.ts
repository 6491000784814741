import { Problem } from '#api/problem.ts'
import { nearestOf } from '#api/text/nearest.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { DeployJob } from '../job.ts'
import type { DeployProgress } from '../progress.ts'

/** How long the gateway uses the list of regions, and how long it asks no more after a failure. */
const keptMs = 3_600_000
const failedMs = 60_000
const askMs = 5000

/** Fly's regions. The gateway asks for them once an hour. */
export class Regions {
  readonly #fly: Pick<MachinesApi, 'regions'>
  #known: { codes: string[] | null; until: number } | null = null

  constructor(fly: Pick<MachinesApi, 'regions'>) {
    this.#fly = fly
  }

  /** Null: Fly does not say now. Then a wrong region fails later, when Fly refuses it. */
  async codes(signal: AbortSignal): Promise<string[] | null> {
    const now = performance.now()
    if (this.#known && now < this.#known.until) return this.#known.codes
    const limited = AbortSignal.any([signal, AbortSignal.timeout(askMs)])
    const answer = await this.#fly.regions(limited).catch(() => [])
    signal.throwIfAborted()
    const codes = answer.length > 0 ? answer : null
    this.#known = { codes, until: now + (codes ? keptMs : failedMs) }
    return codes
  }
}

/**
 * Throws if a new machine would be made in a region that Fly does not have, or if an option names
 * such a region.
 */
export function assertRegion(
  { desired, options }: Pick<DeployJob, 'desired' | 'options'>,
  { steps }: DeployProgress,
  regions: string[] | null,
): void {
  const { region } = desired
  const isUsed =
    options.region !== null ||
    steps.some((step) => step.previous === null && step.region === region)
  if (regions === null || regions.includes(region) || !isUsed) return

  const known = `Fly has ${regions.join(', ')}. Did you mean ${nearestOf(region, regions)}?`
  const isOfFile = desired.groups.some(({ config }) => config.env?.['PRIMARY_REGION'] === region)
  if (options.region === null && !isOfFile)
    throw new Problem(
      'fly-denied',
      `The gateway's own region for new machines is ${region} (TARMAC_FLY_REGION), which Fly does not have. ${known} Until the operator corrects it, name a region: --region CODE (region=CODE in a request), or primary_region in fly.toml.`,
      { facts: { region } },
    )
  const key = options.region === null ? 'primary_region' : 'region'
  const what = options.region === null ? 'primary_region in fly.toml' : 'The option region'
  throw new Problem(
    'fly-config-invalid',
    `${what} is ${region}, which is not a region of Fly. ${known}`,
    { facts: { key, region } },
  )
}
