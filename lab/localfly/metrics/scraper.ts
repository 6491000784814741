import type { Traffic } from '../proxy/traffic.ts'
import type { FlyState, Machine } from '../state.ts'
import { usageOf } from './cgroup.ts'

/** One value of each series of a machine. `at`: Unix seconds. */
export type Scrape = {
  at: number
  memory: { mem_total: number; mem_available: number }
  /** Of all CPUs together, in ticks of 0.01 s since the start of the container. */
  cpu: Record<string, number>
  /** Responses through the proxy since the start of localfly, by status. */
  responses: Record<string, number>
}
export type Scraped = {
  labels: { app: string; region: string; host: string; instance: string }
  cpus: number
  scrapes: Scrape[]
}

/** As Fly scrapes machines: https://fly.io/docs/monitoring/metrics/ */
const everyMs = 15_000
const keptSeconds = 3 * 3600
/** Modes of `/proc/stat` that a control group does not count. They stay 0. */
const uncounted = ['nice', 'iowait', 'irq', 'softirq', 'steal', 'guest', 'guest_nice']
const ticksPerSecond = 100

/**
 * Reads every 15 s what the containers of started machines use. On Fly an agent in each machine reads
 * its own `/proc`; a container has the host's there, so this reads its control group.
 */
export class Scraper {
  readonly machines = new Map<string, Scraped>()
  readonly #state: FlyState
  readonly #traffic: Pick<Traffic, 'responses'>
  readonly #timer: NodeJS.Timeout
  /** When each container was first seen. */
  readonly #since = new Map<string, number>()

  constructor(state: FlyState, traffic: Pick<Traffic, 'responses'> = { responses: new Map() }) {
    this.#state = state
    this.#traffic = traffic
    this.#timer = setInterval(() => void this.scrape(), everyMs).unref()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  /** Reads all machines now. */
  async scrape(): Promise<void> {
    const started = [...this.#state.machines.values()].filter(({ state }) => state === 'started')
    await Promise.all(started.map((machine) => this.#read(machine)))
    const from = Date.now() / 1000 - keptSeconds
    for (const [id, { scrapes }] of this.machines) {
      while (scrapes.length > 0 && scrapes[0]!.at < from) scrapes.shift()
      if (scrapes.length === 0) this.machines.delete(id)
    }
  }

  async #read({ id, region, config, own }: Machine): Promise<void> {
    const usage = own.container && (await usageOf(own.container.pid))
    if (!usage || !own.container) return
    const { memory_mb = 256, cpus = 1 } = (config.guest ?? {}) as Guest
    const at = Date.now() / 1000
    const since = this.#since.get(own.container.id) ?? at
    this.#since.set(own.container.id, since)
    const { userTicks: user, systemTicks: system } = usage
    const idle = Math.max(0, Math.round((at - since) * cpus * ticksPerSecond) - user - system)
    const total = memory_mb * 1024 * 1024

    const labels = { app: own.app, region, host: 'e1ab', instance: id }
    const known = this.machines.get(id) ?? { labels, cpus, scrapes: [] }
    this.machines.set(id, known)
    known.scrapes.push({
      at,
      memory: { mem_total: total, mem_available: Math.max(0, total - usage.memoryBytes) },
      responses: this.#traffic.responses.get(id) ?? {},
      cpu: { user, system, idle, ...Object.fromEntries(uncounted.map((mode) => [mode, 0])) },
    })
  }
}

type Guest = { memory_mb?: number; cpus?: number }
