import { once } from 'node:events'
import { request as http } from 'node:http'
import { request as https } from 'node:https'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { durationMs } from './duration.ts'
import type { Check, MachineConfig } from './machine-config.ts'
import type { CheckStatus, FlyState, Machine } from './state.ts'

type Result = Pick<CheckStatus, 'status' | 'output'>

/** Runs the checks of running machines, and records their results. */
export class Checks {
  readonly #state: FlyState
  readonly #watched = new Map<string, AbortController>()
  #isOver = false

  constructor(state: FlyState) {
    this.#state = state
  }

  watch(machine: Machine): void {
    this.unwatch(machine)
    if (this.#isOver) return // this start ended late; the folder may be gone
    const stop = new AbortController()
    this.#watched.set(machine.id, stop)
    for (const [name, check] of checksOf(machine.config))
      void this.#repeat(machine, name, check, stop.signal)
  }

  unwatch(machine: Machine): void {
    this.#watched.get(machine.id)?.abort()
    this.#watched.delete(machine.id)
    machine.checks = []
  }

  /** Fly shows a check once its grace period is over. */
  async #repeat(machine: Machine, name: string, check: Check, signal: AbortSignal): Promise<void> {
    const timeoutMs = clamp(durationMs(check.timeout, 2000), 100, 60_000)
    let pauseMs = durationMs(check.grace_period, 1000)
    while (await slept(pauseMs, signal)) {
      const { status, output } = await runCheck(machine.private_ip, check, timeoutMs)
      if (signal.aborted) return
      const before = machine.checks.find((known) => known.name === name)
      if (before?.status !== status || before.output !== output) {
        const now = { name, status, output, updated_at: new Date().toISOString() }
        machine.checks = [...machine.checks.filter((known) => known !== before), now]
        this.#state.save(machine)
      }
      pauseMs = clamp(durationMs(check.interval, 15_000), 1000, 60_000)
    }
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    for (const stop of this.#watched.values()) stop.abort()
  }
}

/** All checks of a config, by the names that Fly shows. */
export function checksOf(config: MachineConfig): [string, Check][] {
  const named = Object.entries(config.checks ?? {})
  const count = named.length
  for (const { internal_port: port, checks } of config.services ?? [])
    for (const check of checks ?? []) {
      const number = String(named.length - count).padStart(2, '0')
      named.push([
        `servicecheck-${number}-${check.type ?? 'tcp'}-${check.port ?? port}`,
        { port, ...check },
      ])
    }
  return named
}

export function runCheck(host: string, check: Check, timeoutMs: number): Promise<Result> {
  return check.type === 'http'
    ? checkHttp(host, check, timeoutMs)
    : checkTcp(host, check.port ?? 0, timeoutMs)
}

async function checkTcp(host: string, port: number, timeoutMs: number): Promise<Result> {
  const socket = connect({ host, port, signal: AbortSignal.timeout(timeoutMs) })
  try {
    await once(socket, 'connect')
    return { status: 'passing', output: 'Success' }
  } catch (error) {
    return { status: 'critical', output: `dial tcp ${host}:${port}: ${reason(error)}` }
  } finally {
    socket.destroy()
  }
}

/** 2xx passes, 429 warns (too many requests do not fail a machine), and all else is critical. */
async function checkHttp(host: string, check: Check, timeoutMs: number): Promise<Result> {
  const { protocol = 'http', method = 'GET', port = 80, path = '/' } = check
  const what = `${method} ${protocol}://${host}:${port}${path}`
  const headers = Object.fromEntries(
    (check.headers ?? []).map(({ name, values }) => [name, values]),
  )
  const how = {
    host,
    port,
    path,
    method,
    headers,
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
  } as const
  // No certificate authority signs an address of the lab.
  const call = protocol === 'https' ? https({ ...how, rejectUnauthorized: false }) : http(how)
  try {
    call.end()
    const [answer] = await once(call, 'response')
    const body = (await text(answer)).slice(0, 1000)
    const code = Number(answer.statusCode)
    const status = code >= 200 && code < 300 ? 'passing' : code === 429 ? 'warning' : 'critical'
    return { status, output: `HTTP ${what}: ${code} ${answer.statusMessage} Output: ${body}` }
  } catch (error) {
    return { status: 'critical', output: `${what}: ${reason(error)}` }
  } finally {
    call.destroy()
  }
}

function reason(error: unknown): string {
  const { code, name } = error as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED') return 'connect: connection refused'
  return name === 'AbortError' ? 'context deadline exceeded' : String(error)
}

const clamp = (value: number, least: number, most: number): number =>
  Math.min(Math.max(value, least), most)

/** Sleeps. Returns true, or false when the signal aborted. */
function slept(ms: number, signal: AbortSignal): Promise<boolean> {
  return sleep(ms, true, { signal }).catch(() => false)
}
