import type { AppMetrics, MachineMetrics } from '#api/machines/machine-metrics.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { html, type Html } from '../parts/html.ts'
import { columnPicture, type Kind, numbers } from '../pictures/column-picture.ts'
import { averageOf } from '../pictures/columns.ts'

/** Of more machines, the table alone has the numbers. */
const mostPictures = 6
/** A machine that does almost nothing should look so. */
const leastCpuTop = 0.1

/** What each machine used lately, as Fly measured it: memory of what it has, and CPU. */
export function metricsPart(metrics: AppMetrics): Html {
  const { machines, omitted } = metrics
  if (machines.length === 0) return html`<p class="quiet">Fly has no machine to measure.</p>`
  const measured = machines.filter(isMeasured)
  if (measured.length === 0)
    return html`<p class="quiet">
      Fly has measured no machine since ${minuteOf(metrics.from)} UTC. It measures those that run,
      and shows it about a minute later.
    </p>`
  return html`${measured.slice(0, mostPictures).map(
    (each) =>
      html`<h3>Machine <code>${each.id}</code>${each.owner && ` for ${each.owner}`}</h3>
        <div class="pictures">${memoryPicture(each, metrics)} ${cpuPicture(each, metrics)}</div>`,
  )}
  ${measured.length > mostPictures && html`<p class="quiet">Pictures of ${mostPictures} of ${measured.length} machines. The numbers are of all.</p>`}
  ${omitted > 0 && html`<p class="quiet">${omitted} more machines are not measured here. Open the page of their owner.</p>`}
  ${numbers('metrics', 'What machines used', heads, machines.map(rowOf))}`
}

const isMeasured = ({ memoryBytes, cpus }: MachineMetrics): boolean =>
  [...memoryBytes, ...cpus].some((value) => value !== null)

function memoryPicture(
  { memoryBytes, memoryTotalBytes, id }: MachineMetrics,
  metrics: AppMetrics,
): Html {
  const { now, most } = factsOf(memoryBytes)
  const of = memoryTotalBytes === null ? '' : ` of ${mibText(memoryTotalBytes)}`
  return overTime(metrics, memoryBytes, {
    summary: `Memory: ${mibText(now)}${of} now, ${mibText(most)} at most.`,
    kind: { name: `memory of ${id}`, look: 'phase-analyzing' },
    top: memoryTotalBytes ?? most,
    text: mibText,
  })
}

function cpuPicture({ cpus, id }: MachineMetrics, metrics: AppMetrics): Html {
  const { now, most, average } = factsOf(cpus)
  return overTime(metrics, cpus, {
    summary: `CPU: ${cpuText(now)} now, ${cpuText(average)} on average, ${cpuText(most)} at most.`,
    kind: { name: `CPU of ${id}`, look: 'phase-deploying' },
    top: Math.max(leastCpuTop, most),
    text: cpuText,
  })
}

type Line = { summary: string; kind: Kind; top: number; text: (value: number) => string }

/** A column for each step. What was not measured has none. */
const overTime = (
  { from, stepSeconds }: AppMetrics,
  values: readonly (number | null)[],
  { summary, kind, top, text }: Line,
): Html =>
  columnPicture({
    summary,
    kinds: [kind],
    top,
    text,
    columns: values.map((value, at) => ({
      values: [value ?? 0],
      name: `${clockAt(Date.parse(from) + at * stepSeconds * 1000)} UTC`,
    })),
    ends: [`${clockAt(Date.parse(from))} UTC`, 'now'],
  })

const clockAt = (ms: number): string => new Date(ms).toISOString().slice(11, 16)

/** `now`: the last value that was measured. */
function factsOf(values: readonly (number | null)[]) {
  const known = values.filter((value) => value !== null)
  return { now: known.at(-1) ?? 0, most: Math.max(0, ...known), average: averageOf(known) }
}

const heads = [
  'Machine',
  'Region',
  'Memory now',
  'At most',
  'Of',
  'CPU now',
  'Average',
  'CPU at most',
]

function rowOf(machine: MachineMetrics): (Html | string)[] {
  const { id, owner, region, memoryBytes, memoryTotalBytes, cpus } = machine
  const name = html`<code>${id}</code>${owner && html` for ${owner}`}`
  if (!isMeasured(machine)) return [name, region, 'not measured']
  const [memory, cpu] = [factsOf(memoryBytes), factsOf(cpus)]
  return [
    name,
    region,
    mibText(memory.now),
    mibText(memory.most),
    memoryTotalBytes === null ? '' : mibText(memoryTotalBytes),
    cpuText(cpu.now),
    cpuText(cpu.average),
    cpuText(cpu.most),
  ]
}

/** `3.4 %` and `120 %`: of one CPU. */
function cpuText(cpus: number): string {
  if (cpus < 0.001) return cpus > 0 ? '< 0.1 %' : '0 %'
  return `${(100 * cpus).toFixed(cpus < 0.1 ? 1 : 0)} %`
}

/** As Fly and fly.toml name the memory of machines. */
function mibText(bytes: number): string {
  const mib = bytes / 2 ** 20
  return `${mib.toFixed(mib > 0 && mib < 10 ? 1 : 0)} MiB`
}
