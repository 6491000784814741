import type { Flyd } from '../flyd.ts'
import type { FlyState, Machine } from '../state.ts'
import { whyNotSuspend } from '../suspend.ts'
import { serviceOf, type Traffic } from './traffic.ts'

/** The interval of Fly's proxy: a few minutes. */
const everyMs = 300_000

/**
 * Stops idle machines whose service allows it, one per app and region in each round. A single
 * machine is stopped when it has no load, one of several when the others can take all the load.
 * `min_machines_running` counts in the primary region. A machine that cannot be suspended is stopped
 * (community.fly.io/t/autosuspend-is-here-machine-suspension-is-enabled-everywhere/20942).
 */
export class Autostop {
  readonly #state: FlyState
  readonly #flyd: Pick<Flyd, 'stop' | 'suspend'>
  readonly #traffic: Traffic
  #timer: NodeJS.Timeout | undefined

  constructor(parts: { state: FlyState; flyd: Pick<Flyd, 'stop' | 'suspend'>; traffic: Traffic }) {
    this.#state = parts.state
    this.#flyd = parts.flyd
    this.#traffic = parts.traffic
    this.set(everyMs)
  }

  /** Sets the interval of the rounds. A machine is idle when it had no request for that long. */
  set(idleMs: number): void {
    clearInterval(this.#timer)
    this.#timer = setInterval(() => this.#look(idleMs), idleMs).unref()
  }

  #look(idleMs: number): void {
    const running = [...this.#state.machines.values()].filter(
      (machine) => machine.state === 'started' && !machine.cordoned && sleepOf(machine) !== null,
    )
    const groups = Map.groupBy(running, ({ own, region, config }) =>
      [own.app, region, config.metadata?.['fly_process_group']].join('\0'),
    )
    for (const group of groups.values()) this.#stopOne(group, idleMs)
  }

  #stopOne(machines: Machine[], idleMs: number): void {
    const over = machines.filter(
      (machine) => this.#traffic.load(machine) > softLimitOf(machine),
    ).length
    if (machines.length > 1 && machines.length - (over + 1) < 1) return
    const idle = machines.find((machine) => this.#traffic.idleMs(machine) >= idleMs)
    if (!idle || machines.length <= leastRunning(idle)) return
    if (sleepOf(idle) === 'suspend' && whyNotSuspend(idle.config) === null)
      this.#flyd.suspend(idle, 'proxy')
    else this.#flyd.stop(idle, {}, 'proxy')
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

function sleepOf(machine: Machine): 'stop' | 'suspend' | null {
  const { autostop } = serviceOf(machine) ?? {}
  if (autostop === 'suspend') return 'suspend'
  return autostop === true || autostop === 'stop' ? 'stop' : null
}

function leastRunning(machine: Machine): number {
  const primary = machine.config.env?.['PRIMARY_REGION'] ?? machine.region
  return machine.region === primary ? (serviceOf(machine)?.min_machines_running ?? 0) : 0
}

const softLimitOf = (machine: Machine): number => serviceOf(machine)?.concurrency?.soft_limit ?? 20
