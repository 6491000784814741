import type { FlyState } from '../state.ts'
import { FlyError } from '../fly-error.ts'
import { expectOrg, isOf } from '../org-pages.ts'
import type { On } from '../releases-api.ts'
import { matches, parseQuery, type Query } from './promql.ts'
import type { Scraper, Scraped } from './scraper.ts'

type Labels = Record<string, string>
/** Points of Unix seconds and a value, oldest first. */
type Series = { labels: Labels; points: [at: number, value: number][] }

/** How old a value may be. Source: Prometheus' default, "staleness". */
const lookBack = 300
const mostSteps = 11_000
const memorySeries = ['mem_total', 'mem_available'] as const

/**
 * `GET /prometheus/{org}/api/v1/query_range` over what the scraper has, in the shapes of
 * https://prometheus.io/docs/prometheus/latest/querying/api/. It has the series that the gateway
 * reads: `fly_instance_memory_mem_total`, `…_mem_available`, `fly_instance_cpu` and
 * `fly_app_http_responses_count`.
 */
export function metricsRoutes(on: On, { state, scraper }: { state: FlyState; scraper: Scraper }) {
  on('get', '/prometheus/:org/api/v1/query_range', ({ params, query }) => {
    const org = String(params['org'])
    expectOrg(state, org)
    const asked = query as Record<string, string>
    const range = { start: number(asked, 'start'), end: number(asked, 'end') }
    const step = number(asked, 'step')
    if (!(step > 0) || range.end < range.start || (range.end - range.start) / step > mostSteps)
      throw new FlyError(422, 'start, end and step make no range, or one of too many steps')
    const parsed = parseQuery(asked['query'] ?? '')

    const found = [...scraper.machines.values()]
      .filter(({ labels }) => isOf(state, labels.app, org))
      .flatMap(seriesOf)
      .filter(({ labels }) => matches(labels, parsed.matchers))
    const steps: number[] = []
    for (let at = range.start; at <= range.end; at += step) steps.push(at)
    const result = answer(found, parsed, steps)
    return { status: 'success', data: { resultType: 'matrix', result } }
  })
}

function number(asked: Labels, name: string): number {
  const value = Number(asked[name] ?? 'none')
  if (Number.isFinite(value)) return value
  throw new FlyError(422, `${name} is no number of seconds`)
}

/** A machine's series. Its use is spread evenly over its CPUs: a control group does not say which. */
function seriesOf({ labels, cpus, scrapes }: Scraped): Series[] {
  const all: Series[] = memorySeries.map((series) => ({
    labels: { __name__: `fly_instance_memory_${series}`, ...labels },
    points: scrapes.map(({ at, memory }) => [at, memory[series]]),
  }))
  for (let cpu = 0; cpu < cpus; cpu++)
    for (const mode of Object.keys(scrapes[0]?.cpu ?? {}))
      all.push({
        labels: { __name__: 'fly_instance_cpu', ...labels, cpu_id: String(cpu), mode },
        points: scrapes.map(({ at, cpu: ticks }) => [at, (ticks[mode] ?? 0) / cpus]),
      })
  // Fly's proxy has no series for a status that it has not seen.
  for (const status of Object.keys(scrapes.at(-1)?.responses ?? {}))
    all.push({
      labels: { __name__: 'fly_app_http_responses_count', ...labels, status },
      points: scrapes.flatMap(({ at, responses }): Series['points'] =>
        responses[status] === undefined ? [] : [[at, responses[status]]],
      ),
    })
  return all
}

function answer(series: Series[], { sumOfRates }: Query, steps: number[]) {
  if (!sumOfRates)
    return shown(
      series.map(({ labels, points }) => ({
        labels,
        points: steps.flatMap((at): Series['points'] => {
          const last = points.findLast(([then]) => then <= at && then > at - lookBack)
          return last ? [[at, last[1]]] : []
        }),
      })),
    )

  const { by, window } = sumOfRates
  const groups = Map.groupBy(series, ({ labels }) =>
    by.map((name) => labels[name] ?? '').join('\n'),
  )
  return shown(
    [...groups.values()].map((group) => ({
      labels: Object.fromEntries(by.map((name) => [name, group[0]!.labels[name] ?? ''])),
      points: steps.flatMap((at): Series['points'] => {
        const rates = group.map(({ points }) => rateAt(points, at, window))
        const known = rates.filter((rate) => rate !== null)
        return known.length > 0 ? [[at, known.reduce((sum, rate) => sum + rate, 0)]] : []
      }),
    })),
  )
}

/** Per second. Null: one value or none is in the window. A counter that fell began again at 0. */
function rateAt(points: Series['points'], at: number, window: number): number | null {
  const inside = points.filter(([then]) => then <= at && then > at - window)
  const [first, last] = [inside[0], inside.at(-1)]
  if (!first || !last || first === last) return null
  let grown = 0
  for (const [index, [, value]] of inside.entries()) {
    const before = inside[index - 1]?.[1] ?? value
    grown += value >= before ? value - before : value
  }
  return grown / (last[0] - first[0])
}

const shown = (series: Series[]) =>
  series
    .filter(({ points }) => points.length > 0)
    .map(({ labels, points }) => ({
      metric: labels,
      values: points.map(([at, value]) => [at, String(value)]),
    }))
