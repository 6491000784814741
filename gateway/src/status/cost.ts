import type { CostStatus, CostSum } from '#api/status/cost.ts'
import { type PriceTable, type Rate, rateOf } from '#api/status/prices.ts'
import type { GuestSize } from '#api/status/machine.ts'
import type { MachineTime, StatusStore } from '../deployments/status/status-store.ts'

const appsShown = 50
/** How long an answer is used again: a month of many apps takes some milliseconds to read. */
const keptMs = 2000

type Priced = { table: PriceTable | null; size: GuestSize | null; region: string }

/** Reads the cost of today and this month, at most every 2 s. */
export function costReader(store: StatusStore, priced: () => Priced) {
  let known: { cost: Promise<CostStatus>; until: number } | null = null
  const read = async () => {
    const now = new Date().toISOString()
    await store.countMachineTime()
    const [today, month] = [now.slice(0, 10), `${now.slice(0, 7)}-01`]
    return costStatus(await store.machineTime(month), today, priced())
  }
  return () => {
    if (known && performance.now() < known.until) return known.cost
    const cost = read()
    known = { cost, until: performance.now() + keptMs }
    cost.catch(() => (known = null))
    return cost
  }
}

/** The price of the machine. Null: the table has none for it, or there is no table. */
export const rateNow = ({ table, size, region }: Priced): Rate | null =>
  table && size && rateOf(table, size, region)

/** Sums the machine time of a month. `today`: a day, such as 2026-05-04. */
export function costStatus(times: MachineTime[], today: string, priced: Priced): CostStatus {
  const { table } = priced
  const rate = rateNow(priced)
  const sum = (isCounted: (time: MachineTime) => boolean) =>
    sumOf(times.filter(isCounted), table?.currency ?? null)
  const workAndIdle = (isCounted: (time: MachineTime) => boolean) => ({
    work: sum((time) => isCounted(time) && time.app !== ''),
    idle: sum((time) => isCounted(time) && time.app === ''),
  })
  const isToday = ({ day }: MachineTime) => day === today

  const days = [...new Set(times.map(({ day }) => day))].toSorted().toReversed()
  const byApp = Map.groupBy(
    times.filter(({ app }) => app !== ''),
    ({ app }) => app,
  )
  const apps = [...byApp].map(([app, own]) => ({
    app,
    today: sumOf(own.filter(isToday), table?.currency ?? null),
    month: sumOf(own, table?.currency ?? null),
  }))

  return {
    currency: table?.currency ?? null,
    prices: table && { source: table.source, date: table.date },
    perHour: rate && rate.perSecond * 3600,
    warning: warningOf(priced, rate),
    today: workAndIdle(isToday),
    month: workAndIdle(() => true),
    days: days.map((day) => ({ day, ...workAndIdle((time) => time.day === day) })),
    apps: apps
      .toSorted((a, b) => b.month.machineSeconds - a.month.machineSeconds)
      .slice(0, appsShown),
  }
}

function sumOf(times: MachineTime[], currency: string | null): CostSum {
  const sum = { machineMs: 0, unpricedMs: 0, amount: 0 }
  for (const time of times) {
    sum.machineMs += time.machineMs
    if (currency !== null && time.currency === currency) sum.amount += time.amount
    else sum.unpricedMs += time.machineMs
  }
  return {
    machineSeconds: Math.round(sum.machineMs) / 1000,
    amount: currency === null ? null : sum.amount,
    unpricedSeconds: Math.round(sum.unpricedMs) / 1000,
  }
}

function warningOf({ table, size, region }: Priced, rate: Rate | null): string | null {
  if (rate) return null
  if (!table)
    return 'No prices are known. Set TARMAC_PRICES to a price table, with the prices of your own bill: see docs/status.md.'
  if (!size)
    return 'The size of the machine is not known, so its price is not either. On Fly, the gateway asks the Machines API for it.'
  return `The price table has no machine of ${size.kind}, ${size.cpus} CPUs, ${size.memoryMb} MB in ${region || 'any region'}. Add it to TARMAC_PRICES.`
}
