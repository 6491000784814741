import type { GrowthStatus } from '#api/status/disk.ts'

/** The volume of the gateway's machine, as Fly has it. */
export type MountedVolume = {
  id: string
  sizeGb: number
  /** Fly's own growth of the volume, from the machine's mount. Null: it has none. */
  auto: { thresholdPercent: number; addGb: number; limitGb: number } | null
}
/** `limitGb`: up to which the gateway extends the volume itself; 0: never. */
export type GrowthSettings = { limitGb: number; addGb: number; thresholdPercent: number }

/** Fly's limit for a volume. Source: fly.md 7.6. */
const mostGb = 500

/**
 * What is to be done about a volume that is so full. `extendToGb`: the gateway extends it now. Fly's
 * own growth has precedence: two that extend one volume would do it twice.
 */
export function planGrowth(
  usedPercent: number,
  { id, sizeGb, auto }: MountedVolume,
  settings: GrowthSettings,
): GrowthStatus & { extendToGb: number | null } {
  const by = auto ? 'fly' : settings.limitGb > 0 ? 'gateway' : 'nobody'
  const { thresholdPercent, addGb, limitGb } = auto ?? settings
  const limit = by === 'nobody' ? null : Math.min(limitGb || mostGb, mostGb)

  const isFull = usedPercent >= thresholdPercent
  const mayGrow = limit !== null && sizeGb < limit
  const extendToGb = isFull && mayGrow && by === 'gateway' ? Math.min(sizeGb + addGb, limit) : null
  const used = `The volume ${id} of ${sizeGb} GB is ${Math.floor(usedPercent)} % full`
  return {
    volume: id,
    sizeGb,
    by,
    thresholdPercent,
    limitGb: limit,
    warning: isFull && !mayGrow ? `${used}, and ${whyNot(by, limit)}` : null,
    extendToGb,
  }
}

function whyNot(by: GrowthStatus['by'], limit: number | null): string {
  const rest = 'The gateway removes old build caches instead.'
  if (by === 'fly')
    return `Fly extends it no more: the limit of its mount is ${limit} GB. ${rest} To let it grow, run tarmac up with a larger limit, or fly volumes extend.`
  if (by === 'gateway')
    return `the gateway extends it no more: TARMAC_VOLUME_LIMIT_GB is ${limit}. ${rest} To let it grow, raise that setting.`
  return `nothing extends it. ${rest} To let it grow, run tarmac up, set TARMAC_VOLUME_LIMIT_GB, or run fly volumes extend.`
}
