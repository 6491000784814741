import { EventEmitter, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Flyd } from '../flyd.ts'
import type { Hostile } from '../hostile.ts'
import { isIn } from '../regions.ts'
import type { FlyState, Machine } from '../state.ts'

/**
 * The target of a request: an app, and optionally one machine by id. `regions`: in order of
 * preference; empty means any. `prefer`, `avoid`: ids of machines. `port`: of the service, where the
 * caller came in by Flycast.
 */
export type Target = {
  app: string
  instance: string | null
  prefer: string | null
  avoid: string | null
  regions: string[]
  port: number | null
}
/** One request's slot at a machine. It counts as load until it is released. */
export type Seat = { machine: Machine; port: number; release(): void }
/**
 * The history of one request. After one machine broke off, it goes to one other machine at most.
 */
export type Tries = {
  passed: Set<string>
  said: string
  broke: boolean
  /** It waited for a machine to start. Then it waits longer for the port to answer. */
  waited: boolean
  until: number
}

const softLimit = 20
const queueMs = 30_000
const refusedMs = 8000
/** Fly tries up to 90 times (superfly/docs: monitoring/error-codes, PR03). */
const bootMs = 30_000
const again = 50

/**
 * Sends each request to a machine that can take it, as Fly's proxy does: the least loaded one that
 * runs, is not cordoned and passes its checks. At every machine's hard limit the request waits for
 * a slot. When all machines are asleep, it waits for one to start.
 */
export class Traffic {
  readonly #state: FlyState
  readonly #flyd: Pick<Flyd, 'start'>
  readonly #hostile: Pick<Hostile, 'isGone'>
  readonly #loads = new Map<string, { active: number; at: number }>()
  /** How many responses each machine gave to requests through the proxy, by status. */
  readonly responses = new Map<string, Record<string, number>>()
  readonly #released = new EventEmitter().setMaxListeners(0)
  #turn = 0

  constructor(parts: {
    state: FlyState
    flyd: Pick<Flyd, 'start'>
    hostile: Pick<Hostile, 'isGone'>
  }) {
    this.#state = parts.state
    this.#flyd = parts.flyd
    this.#hostile = parts.hostile
  }

  static tries(): Tries {
    const until = performance.now() + refusedMs
    return { passed: new Set(), said: '', broke: false, waited: false, until }
  }

  async take(target: Target, tries: Tries, signal: AbortSignal): Promise<Seat> {
    const patience = AbortSignal.any([signal, AbortSignal.timeout(queueMs)])
    for (;;) {
      const machines = this.#machines(target)
      const able = machines.filter((machine) => this.#whyNot(machine) === null)
      const fresh = able.filter(({ id }) => !tries.passed.has(id))
      const best =
        fresh.find(({ id }) => id === target.prefer) ?? this.#leastLoaded(fresh, target.port)
      if (!best && tries.broke) throw unreached(target, tries)
      const crowded = able.every((machine) => this.load(machine) >= limits(machine).soft)
      if (crowded && !machines.some(isComing)) this.#wake(machines, target.prefer)
      if (best) return this.#seat(best, target.port)
      const isLate = performance.now() > tries.until
      if (able.length === 0 && !machines.some(isComing)) {
        // A machine that it woke may fail its check until its program listens.
        const boots = tries.waited && !isLate && machines.some(({ state }) => state === 'started')
        if (!boots) throw new Refusal(503, this.#refusal(target, machines), 'no_candidate')
        await sleep(again, undefined, { signal })
        continue
      }
      if (able.length > 0 && fresh.length === 0) {
        if (isLate) throw unreached(target, tries)
        await sleep(again, undefined, { signal })
        tries.passed.clear()
        continue
      }
      tries.waited ||= able.length === 0
      await this.#change(patience, target.app)
      tries.until = performance.now() + (tries.waited ? bootMs : refusedMs)
    }
  }

  load({ id }: Machine): number {
    return this.#loads.get(id)?.active ?? 0
  }

  noteResponse({ id }: Machine, status: number): void {
    const counts = this.responses.get(id) ?? {}
    this.responses.set(id, { ...counts, [status]: (counts[status] ?? 0) + 1 })
  }

  /** How long a running machine has had no load from the proxy. */
  idleMs(machine: Machine): number {
    if (this.load(machine) > 0) return 0
    return (
      Date.now() - Math.max(this.#loads.get(machine.id)?.at ?? 0, machine.events[0]?.timestamp ?? 0)
    )
  }

  /** A slot at this very machine, whatever its state and load. */
  seatAt(machine: Machine): Seat {
    return this.#seat(machine, null)
  }

  /** The app's machines with a service. */
  #machines({ app, instance, avoid, regions, port }: Target): Machine[] {
    const machines = this.#state.machinesOf(app).filter((machine) => {
      if (serviceOf(machine, port) === undefined || machine.id === avoid) return false
      return instance === null || machine.id === instance
    })
    if (regions.length === 0) return machines
    const there = (wanted: string) => machines.filter(({ region }) => isIn(region, wanted))
    return regions.map(there).find((found) => found.length > 0) ?? []
  }

  #leastLoaded(machines: Machine[], port: number | null): Machine | undefined {
    this.#turn++
    const places = machines.flatMap((machine, at) => {
      const load = this.load(machine)
      const { soft, hard } = limits(machine, port)
      const rank = (load >= soft ? 1e6 : 0) + load
      return load >= hard ? [] : [{ machine, rank, turn: (at + this.#turn) % machines.length }]
    })
    return places.toSorted((a, b) => a.rank - b.rank || a.turn - b.turn)[0]?.machine
  }

  #seat(machine: Machine, port: number | null): Seat {
    const load = this.#loads.get(machine.id) ?? { active: 0, at: 0 }
    this.#loads.set(machine.id, load)
    load.active++
    let held = true
    const release = () => {
      if (!held) return
      held = false
      load.active--
      load.at = Date.now()
      this.#released.emit('released')
    }
    return { machine, port: serviceOf(machine, port)!.internal_port, release }
  }

  /** Starts one more machine that sleeps and may be woken. */
  #wake(machines: Machine[], prefer: string | null): void {
    const asleep = machines.filter(
      (machine) =>
        mayWake(machine) &&
        ['stopped', 'suspended', 'suspending'].includes(machine.state) &&
        !this.#hostile.isGone(machine),
    )
    // suspended ones start faster
    const first =
      asleep.find(({ id }) => id === prefer) ??
      asleep.toSorted((a, b) => (b.state > a.state ? 1 : -1))[0]
    if (first) this.#flyd.start(first, 'proxy')
  }

  async #change(patience: AbortSignal, app: string): Promise<void> {
    const changed = new AbortController()
    const signal = AbortSignal.any([patience, changed.signal])
    try {
      await Promise.race([
        this.#state.changed(signal),
        once(this.#released, 'released', { signal }),
      ])
    } catch {
      throw new Refusal(
        503,
        `No machine of "${app}" had room for the request within ${queueMs / 1000} s.`,
        'retries_exhausted',
      )
    } finally {
      changed.abort()
    }
  }

  #refusal({ app, instance }: Target, machines: Machine[]): string {
    if (instance !== null && machines.length === 0) return `"${app}" has no machine ${instance}.`
    const reasons = machines.map((machine) => `${machine.id} is ${this.#whyNot(machine)}`)
    return `No machine of "${app}" can take requests: ${reasons.join(', ') || 'it has none with a service'}.`
  }

  #whyNot(machine: Machine): string | null {
    if (machine.state !== 'started') return machine.state
    if (machine.cordoned) return 'cordoned'
    if (this.#hostile.isGone(machine)) return 'on a host that cannot be reached'
    const failing = machine.checks.find(
      ({ name, status }) => name.startsWith('servicecheck-') && status === 'critical',
    )
    return failing ? `failing ${failing.name} (${failing.output})` : null
  }
}

/** An answer from the proxy itself. */
export class Refusal extends Error {
  readonly status: number
  /** Why a replay failed, as in Fly's `fly-replay-failed`; null for what no fallback helps. */
  readonly reason: 'timeout' | 'retries_exhausted' | 'no_candidate' | null
  constructor(status: number, text: string, reason: Refusal['reason'] = null) {
    super(text)
    this.status = status
    this.reason = reason
  }
}

const unreached = ({ app }: Target, { said }: Tries) =>
  new Refusal(502, `"${app}" cannot be reached:${said}`, 'retries_exhausted')

/** The service on a port, or else the HTTP service, or the first one. */
export function serviceOf({ config }: Machine, port: number | null = null) {
  const services = config.services ?? []
  if (port !== null)
    return services.find(({ ports }) => ports?.some((each) => each['port'] === port))
  return (
    services.find(({ ports }) => ports?.some(({ handlers }) => handlers?.includes('http'))) ??
    services[0]
  )
}

/** A service takes part in autostart unless it says otherwise. */
export const mayWake = (machine: Machine): boolean =>
  !machine.cordoned && serviceOf(machine)?.autostart !== false

/** Starting, or stopping before it starts again. */
const isComing = (machine: Machine): boolean =>
  mayWake(machine) && ['starting', 'stopping'].includes(machine.state)

/** The proxy opens one connection per request, so both types of limit count the same. */
function limits(machine: Machine, port: number | null = null): { soft: number; hard: number } {
  const { soft_limit: soft, hard_limit: hard } = serviceOf(machine, port)?.concurrency ?? {}
  return { soft: soft ?? Math.min(softLimit, hard ?? softLimit), hard: hard ?? Infinity }
}
