import type { Guest } from '#fly/machine.ts'
import type { Region } from '#fly/builder-api.ts'
import { Problem } from '#api/problem.ts'

/** A size by Fly's name, with its hardware. */
export type Size = { name: string; guest: Guest }

const perCpuMb = { shared: 256, performance: 2048 }
const mostPerCpuMb = { shared: 2048, performance: 8192 }
const counts = { shared: [1, 2, 4, 6, 8], performance: [1, 2, 4, 6, 8, 10, 12, 14, 16] }

export const defaultSize = 'performance-4x'
export const defaultVolumeGb = 50

/** What `up` tries when nobody has named a size and Fly has no room for the first: next smaller. */
const ladder = ['performance-4x', 'performance-2x', 'shared-cpu-8x:8gb', 'shared-cpu-4x:8gb']
/** The nearest regions that `up` tries when nobody has named one. */
const mostRegions = 3

const sizeRule =
  'A size is one of Fly’s, as performance-4x or shared-cpu-8x, and may name its memory: shared-cpu-8x:8gb.'

/** Source of the presets and limits: fly.md 3.9. */
export function readSize(text: string): Size {
  const [, shared, count = '', memory, unit] =
    /^(?:(shared-cpu)|performance)-(\d{1,2})x(?::(\d{1,6})(mb|gb))?$/.exec(text) ?? []
  const cpu_kind = shared ? 'shared' : 'performance'
  const cpus = Number(count)
  if (!counts[cpu_kind].includes(cpus)) throw new Problem('option-invalid', `--size: ${sizeRule}`)

  const least = cpus * perCpuMb[cpu_kind]
  const most = cpus * mostPerCpuMb[cpu_kind]
  const memory_mb = memory ? Number(memory) * (unit === 'gb' ? 1024 : 1) : least
  const step = shared ? 256 : 1024
  if (memory_mb < least || memory_mb > most || memory_mb % step !== 0)
    throw new Problem(
      'option-invalid',
      `--size: ${shared ?? 'performance'}-${cpus}x has ${least} to ${most} MB of memory, in steps of ${step} MB.`,
    )
  return { name: text, guest: { cpu_kind, cpus, memory_mb } }
}

export const guestWords = ({ cpu_kind, cpus, memory_mb }: Guest): string =>
  `${cpus} ${cpu_kind} CPUs, ${memory_mb / 1024} GB`

/** The hardware in a machine's config. Null: Fly does not say it. */
export function readGuest(guest: Record<string, unknown> | undefined): Guest | null {
  const { cpu_kind, cpus, memory_mb } = guest ?? {}
  return typeof cpu_kind === 'string' && typeof cpus === 'number' && typeof memory_mb === 'number'
    ? { cpu_kind, cpus, memory_mb }
    : null
}

/** A place and a size for the machine. */
export type Choice = { region: string; size: Size }

/**
 * The places and sizes to try, in order. A size or region that the user named is kept. Otherwise:
 * the sizes of the list, from the first down, and then the same in the next nearest region.
 */
export function choicesOf(
  wanted: { size: Size | null; region: string | null },
  home: string,
  regions: Region[],
): Choice[] {
  const sizes = wanted.size ? [wanted.size] : ladder.map(readSize)
  const places = wanted.region ? [wanted.region] : nearestTo(home, regions).slice(0, mostRegions)
  return places.flatMap((region) => sizes.map((size) => ({ region, size })))
}

/** The codes of the regions where machines may be made, nearest first. */
export function nearestTo(home: string, regions: Region[]): string[] {
  const from = regions.find(({ code }) => code === home)
  const usable = regions.filter(
    ({ code, deprecated, requires_paid_plan: paid }) => code !== home && !deprecated && !paid,
  )
  const known = usable.flatMap(({ code, ...place }) => {
    const km = from ? distanceKm(from, place) : null
    return km === null ? [] : [{ code, km }]
  })
  return [home, ...known.toSorted((a, b) => a.km - b.km).map(({ code }) => code)]
}

type Place = Pick<Region, 'latitude' | 'longitude'>

/** The distance along the earth's surface. Null: Fly does not say where a region is. */
export function distanceKm(a: Place, b: Place): number | null {
  if (a.latitude == null || a.longitude == null || b.latitude == null || b.longitude == null)
    return null
  const radians = Math.PI / 180
  const [up, side] = [(b.latitude - a.latitude) * radians, (b.longitude - a.longitude) * radians]
  const half =
    Math.sin(up / 2) ** 2 +
    Math.cos(a.latitude * radians) * Math.cos(b.latitude * radians) * Math.sin(side / 2) ** 2
  return Math.round(2 * 6371 * Math.asin(Math.sqrt(half)))
}

/** The region where most of the machines are. Null: there are none. */
export function busiestRegion(machines: { region?: string | null | undefined }[]) {
  const counts = new Map<string, number>()
  for (const { region } of machines) if (region) counts.set(region, (counts.get(region) ?? 0) + 1)
  const [most] = [...counts].toSorted(([, a], [, b]) => b - a)
  return most ? { region: most[0], count: most[1] } : null
}

/** What a builder far from the apps costs. Null: it is near, or nobody knows. */
export function farWords(builder: string, apps: string, regions: Region[]): string | null {
  const [a, b] = [builder, apps].map((code) => regions.find((region) => region.code === code))
  const km = a && b ? distanceKm(a, b) : null
  if (km === null || km < 1500) return null
  // Light takes 1 ms for 100 km of fibre and back.
  return `Most of your machines run in ${apps}, and the builder is in ${builder}, about ${km} km away. Each round trip between them takes at least ${Math.round(km / 100)} ms, and each new image crosses that distance before the machines can start. To avoid it: --region ${apps}`
}
