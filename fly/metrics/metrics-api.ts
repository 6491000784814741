import { z } from 'zod'
import { Problem } from '#api/problem.ts'
import { metricsApi } from '../endpoints/fly-apis.ts'
import { type Endpoint, FlyCalls } from '../fly-calls.ts'
import { lastGrowth } from './last-requests.ts'

/**
 * What a machine used, at each step of a range. CPUs: 1 is one CPU that was busy all the time. Null:
 * not measured then.
 */
export type MachineSeries = {
  /** The memory that the machine has. */
  totalBytes: number | null
  memoryBytes: (number | null)[]
  cpus: (number | null)[]
}

/** From the first step to the last, in Unix seconds. `step`: seconds between two. */
export type MetricsRange = { from: number; to: number; step: number }

/** Source: https://prometheus.io/docs/prometheus/latest/querying/api/ (range queries). */
const Matrix = z.object({
  status: z.literal('success'),
  data: z.object({
    resultType: z.literal('matrix'),
    result: z.array(
      z.object({
        metric: z.record(z.string(), z.string()),
        values: z.array(z.tuple([z.number(), z.string()])),
      }),
    ),
  }),
})
type Line = z.infer<typeof Matrix>['data']['result'][number]

const total = 'fly_instance_memory_mem_total'
const available = 'fly_instance_memory_mem_available'
/** What a CPU does when it is busy. The rest is `idle`, `iowait`, and what the host took away. */
const busy = 'user|nice|system|irq|softirq'
/** Seconds. Fly measures every 15 s. A rate needs two samples, also where one is missing. */
const leastWindow = 120
const ticksPerSecond = 100
const answerMs = 10_000

/**
 * Memory, CPU and requests of machines, from the organisation's Prometheus on Fly. Throws `fly-unavailable`,
 * `fly-denied` and `fly-refused`, as `MachinesApi`. Source of names and units:
 * https://fly.io/docs/monitoring/metrics/ ("Instance series", "Proxy series").
 */
export class MetricsApi {
  readonly #calls: FlyCalls
  readonly #org: string

  constructor(endpoint: Endpoint, org: string) {
    this.#calls = new FlyCalls(endpoint, metricsApi)
    this.#org = org
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#calls[Symbol.asyncDispose]()
  }

  /** By the id of the machine. A machine that was not measured is missing. */
  async machines(
    apps: readonly string[],
    range: MetricsRange,
    signal: AbortSignal,
  ): Promise<Map<string, MachineSeries>> {
    const of = `app=~"${apps.map(assertName).join('|')}"`
    const window = Math.max(leastWindow, range.step)
    const [memory, cpu] = await Promise.all([
      this.#query(`{__name__=~"${total}|${available}",${of}}`, range, signal),
      this.#query(
        `sum by (instance) (rate(fly_instance_cpu{${of},mode=~"${busy}"}[${window}s]))`,
        range,
        signal,
      ),
    ])
    return seriesOf(memory, cpu, range)
  }

  /** When each app answered its last request within the range, as Fly's proxy counts it. */
  async lastRequests(
    apps: readonly string[],
    range: MetricsRange,
    signal: AbortSignal,
  ): Promise<Map<string, number>> {
    const of = `app=~"${apps.map(assertName).join('|')}"`
    return lastGrowth(
      await this.#query(`fly_app_http_responses_count{${of}}`, range, signal),
      range,
    )
  }

  async #query(query: string, { from, to, step }: MetricsRange, signal: AbortSignal) {
    const asked = new URLSearchParams({ query, start: `${from}`, end: `${to}`, step: `${step}` })
    const path = `/${encodeURIComponent(this.#org)}/api/v1/query_range?${asked.toString()}`
    const call = { path, action: 'metrics', id: query, answer: Matrix, answerMs }
    return (await this.#calls.read(call, signal)).data.result
  }
}

/** A name cannot leave its place in the query. */
function assertName(app: string): string {
  if (/^[\w-]{1,100}$/.test(app)) return app
  throw new Problem('app-name-invalid', 'Fly has no app of such a name.')
}

/** Joins what the two queries answered, by the machine's id. */
export function seriesOf(
  memory: readonly Line[],
  cpu: readonly Line[],
  range: MetricsRange,
): Map<string, MachineSeries> {
  const all = new Map<string, { total: Values; available: Values; cpu: Values }>()
  const of = ({ metric }: Line) => {
    const id = metric['instance'] ?? ''
    const known = all.get(id) ?? { total: new Map(), available: new Map(), cpu: new Map() }
    all.set(id, known)
    return known
  }
  for (const line of memory)
    add(line, of(line)[line.metric['__name__'] === total ? 'total' : 'available'], range)
  for (const line of cpu) add(line, of(line).cpu, range)

  const steps = Array.from({ length: Math.floor((range.to - range.from) / range.step) + 1 })
  const found = new Map<string, MachineSeries>()
  for (const [id, { total, available, cpu }] of all)
    found.set(id, {
      totalBytes: [...total.values()].at(-1) ?? null,
      memoryBytes: steps.map((_, at) => difference(total.get(at), available.get(at))),
      cpus: steps.map((_, at) => inCpus(cpu.get(at))),
    })
  return found
}

/** By the index of the step. */
type Values = Map<number, number>

/** Fly may move the steps a little. Of two lines of a machine that moved to another host, the last wins. */
function add({ values }: Line, to: Values, { from, step }: MetricsRange): void {
  for (const [at, text] of values) {
    const value = Number(text)
    if (Number.isFinite(value)) to.set(Math.round((at - from) / step), value)
  }
}

const difference = (total: number | undefined, available: number | undefined): number | null =>
  total === undefined || available === undefined ? null : Math.max(0, total - available)

const inCpus = (ticks: number | undefined): number | null =>
  ticks === undefined ? null : Math.max(0, ticks / ticksPerSecond)
