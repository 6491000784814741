import type { AppMetrics } from '#api/machines/machine-metrics.ts'
import type { MachineView } from '#api/machines/machine-facts.ts'
import type { MetricsApi, MetricsRange } from '#fly/metrics/metrics-api.ts'
import { keptAnswers, patiently } from './kept-answers.ts'

export type MetricsRequest = {
  /** Only the machines of this owner. Null: of the app and of all its owners. */
  owner: string | null
  /** From 15 to 180. */
  minutes: number
}

export type MetricsDeps = {
  metrics: Pick<MetricsApi, 'machines'>
  list: (app: string) => Promise<MachineView[]>
}

/** A page is asked for often, and Fly measures every 15 s. */
const keptMs = 15_000
/** More make a query that Fly need not accept. */
const mostApps = 50
const mostMachines = 200
const steps = 60

/** What the machines of an app used lately. An answer is kept for 15 s. */
export function machineMetrics({ metrics, list }: MetricsDeps) {
  const kept = keptAnswers<AppMetrics>(keptMs)
  return (app: string, request: MetricsRequest): Promise<AppMetrics> =>
    kept(JSON.stringify([app, request]), () => read(app, request))

  async function read(app: string, { owner, minutes }: MetricsRequest) {
    const all = await list(app)
    const asked = all.filter((each) => owner === null || each.owner === owner)
    const apps = [...new Set(asked.map(({ flyApp }) => flyApp))].slice(0, mostApps)
    const machines = asked.filter(({ flyApp }) => apps.includes(flyApp)).slice(0, mostMachines)
    const range = rangeOf(minutes)
    const series =
      machines.length === 0
        ? new Map<string, never>()
        : await patiently((late) => metrics.machines(apps, range, late))
    const none = Array.from({ length: steps + 1 }, () => null)
    return {
      from: timeOf(range.from),
      to: timeOf(range.to),
      stepSeconds: range.step,
      machines: machines.map(({ id, owner: of, region, group }) => {
        const { totalBytes: memoryTotalBytes = null, ...used } = series.get(id) ?? {}
        return {
          id,
          owner: of,
          region,
          group,
          memoryTotalBytes,
          memoryBytes: none,
          cpus: none,
          ...used,
        }
      }),
      omitted: asked.length - machines.length,
    }
  }
}

function rangeOf(minutes: number): MetricsRange {
  const to = Math.floor(Date.now() / 1000)
  return { from: to - minutes * 60, to, step: (minutes * 60) / steps }
}

const timeOf = (seconds: number): string => new Date(seconds * 1000).toISOString()
