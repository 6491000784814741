import type { AppMetrics } from '#api/machines/machine-metrics.ts'
import type { MachineView } from '#api/machines/machine-facts.ts'
import { unlessAborted } from '#api/flow/retry.ts'
import { Problem } from '#api/problem.ts'
import type { MetricsApi, MetricsRange } from '#fly/metrics/metrics-api.ts'

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
const mostKept = 200
/** A picture is not worth a longer wait. */
const patienceMs = 3500
/** More make a query that Fly need not accept. */
const mostApps = 50
const mostMachines = 200
const steps = 60

/** What the machines of an app used lately. An answer is kept for 15 s. */
export function machineMetrics({ metrics, list }: MetricsDeps) {
  const kept = new Map<string, { until: number; answer: Promise<AppMetrics> }>()

  return (app: string, request: MetricsRequest): Promise<AppMetrics> => {
    const [key, now] = [JSON.stringify([app, request]), performance.now()]
    const known = kept.get(key)
    if (known && now < known.until) return known.answer

    for (const [old, { until }] of kept) if (until < now || kept.size >= mostKept) kept.delete(old)
    const answer = read(app, request)
    kept.set(key, { until: now + keptMs, answer })
    answer.catch(() => kept.delete(key))
    return answer
  }

  async function read(app: string, { owner, minutes }: MetricsRequest) {
    const all = await list(app)
    const asked = all.filter((each) => owner === null || each.owner === owner)
    const apps = [...new Set(asked.map(({ flyApp }) => flyApp))].slice(0, mostApps)
    const machines = asked.filter(({ flyApp }) => apps.includes(flyApp)).slice(0, mostMachines)
    const range = rangeOf(minutes)
    const series = machines.length === 0 ? new Map<string, never>() : await patiently(apps, range)
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

  async function patiently(apps: string[], range: MetricsRange) {
    const late = AbortSignal.timeout(patienceMs)
    try {
      return await unlessAborted(metrics.machines(apps, range, late), late)
    } catch (error) {
      if (!late.aborted) throw error
      const detail = `Fly's metrics did not answer within ${patienceMs / 1000} s. The machines are not concerned. Try again later.`
      throw new Problem('fly-unavailable', detail)
    }
  }
}

function rangeOf(minutes: number): MetricsRange {
  const to = Math.floor(Date.now() / 1000)
  return { from: to - minutes * 60, to, step: (minutes * 60) / steps }
}

const timeOf = (seconds: number): string => new Date(seconds * 1000).toISOString()
