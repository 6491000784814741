import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { Problem } from '#api/problem.ts'
import type { SecretVersion } from '#api/release.ts'
import { crashPoint } from '../crash-point.ts'
import type { Machine, MachineConfig } from './machine.ts'
import { RequestBudget } from './request-budget.ts'

const attempts = 5
const answerMs = 30_000
const createMs = 120_000 // pulling a large image
const windowSeconds = 60 // Fly's own limit of one wait
const readMs = 300_000 // its turn may come late, when many ask
const answerBytes = 32 * 1024 * 1024

export type App = { name: string; status?: string; machine_count?: number; network?: string }
export type IpAssignment = { ip: string; shared?: boolean }
export type Volume = {
  id: string
  name: string
  region: string
  state: string
  size_gb?: number
  attached_machine_id?: string | null
}
export type NewVolume = { name: string; region: string; size_gb: number; [field: string]: unknown }
export type NewMachine = {
  name: string
  region: string
  config: MachineConfig
  skip_launch?: boolean
  /** It begins cordoned. */
  skip_service_registration?: boolean
}
export type MachineUpdate = { config: MachineConfig; current_version: string; skip_launch?: boolean }

type WaitState = 'settled' | 'started' | 'stopped' | 'failed' | 'destroyed'
type Call = {
  action: string
  id: string
  body?: object
  nonce?: string | undefined
  answerMs?: number
  /** `no`: repeated only where it surely had no effect. */
  repeat?: 'yes' | 'no'
  /** The answer is text, not JSON. */
  isText?: boolean
  /** Called when the first request goes out. */
  begins?: () => void
}

/**
 * Fly's Machines API as typed calls. All calls share one request budget. Problems: `fly-unavailable` (Fly is away, or the
 * answer was lost: a change may or may not have happened), `fly-denied` (token), `fly-refused` with Fly's own words
 * and `facts.status`. What is safe to repeat is repeated here, a few times, with growing pauses.
 */
export class MachinesApi {
  readonly #baseUrl: string
  readonly #authorization: string
  readonly #budget = new RequestBudget()
  /** Questions that have not gone out yet, by path. */
  readonly #waiting = new Map<string, Promise<unknown>>()
  readonly #agent = new Agent({ connect: { timeout: 5000 }, keepAliveTimeout: 10_000, bodyTimeout: answerMs })

  constructor({ baseUrl, token }: { baseUrl: string; token: string }) {
    this.#baseUrl = baseUrl.replace(/\/+$/, '')
    this.#authorization = token.startsWith('FlyV1 ') ? token : `Bearer ${token}`
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#agent.destroy()
  }

  /** Null when there is no such app; `fly-denied` when it is another organisation's. */
  app(app: string, signal: AbortSignal): Promise<App | null> {
    return orNull(this.#read<App>('get', app, `/apps/${app}`, signal))
  }

  createApp(app: { name: string; org: string; network: string | null }, signal: AbortSignal): Promise<object> {
    const body = { name: app.name, org_slug: app.org, ...(app.network && { network: app.network }) }
    return this.#call('POST', '/apps?wait=true', { action: 'create-app', id: app.org, body, repeat: 'no' }, signal)
  }

  /** With its machines; one that is gone already is fine. */
  deleteApp(app: string, signal: AbortSignal): Promise<object | null> {
    return orNull(this.#call('DELETE', `/apps/${app}?force=true`, { action: 'delete-app', id: app }, signal))
  }

  async ipAssignments(app: string, signal: AbortSignal): Promise<IpAssignment[]> {
    const path = `/apps/${app}/ip_assignments`
    return (await this.#read<{ ips: IpAssignment[] | null }>('list-ips', app, path, signal)).ips ?? []
  }

  assignIp(app: string, body: { type: string; network?: string }, signal: AbortSignal): Promise<IpAssignment> {
    return this.#call(
      'POST',
      `/apps/${app}/ip_assignments`,
      { action: 'assign-ip', id: app, body, repeat: 'no' },
      signal,
    )
  }

  /** One that is gone already is fine. */
  async releaseIp(app: string, ip: string, signal: AbortSignal): Promise<void> {
    const path = `/apps/${app}/ip_assignments/${encodeURIComponent(ip)}`
    await orNull(this.#call('DELETE', path, { action: 'release-ip', id: app }, signal))
  }

  async volumes(app: string, signal: AbortSignal): Promise<Volume[]> {
    return (await this.#read<Volume[] | null>('list-volumes', app, `/apps/${app}/volumes`, signal)) ?? []
  }

  /** Names and digests; values Fly gives to nobody. */
  async secrets(app: string, signal: AbortSignal): Promise<SecretVersion[]> {
    const path = `/apps/${app}/secrets`
    const answer = await this.#read<{ secrets?: SecretVersion[] | null }>('list-secrets', app, path, signal)
    return (answer.secrets ?? []).map(({ name, digest }) => ({ name, digest }))
  }

  /** Made once: when the answer is lost or unclear, look for it. */
  createVolume(app: string, volume: NewVolume, signal: AbortSignal): Promise<Volume> {
    const call = { action: 'create-volume', id: app, body: { encrypted: true, ...volume }, repeat: 'no' } as const
    return this.#call('POST', `/apps/${app}/volumes`, call, signal)
  }

  /** All machines that are not destroyed or about to be. */
  async machines(app: string, signal: AbortSignal): Promise<Machine[]> {
    const all = await this.#read<Machine[] | null>('list', app, `/apps/${app}/machines`, signal)
    return (all ?? []).filter(({ state }) => state !== 'destroyed' && state !== 'destroying')
  }

  /** The last lines that its programs printed. Not in Fly's document; seen in fly-go's pull request 159, and live. */
  async machineLog(app: string, id: string, lines: number, signal: AbortSignal): Promise<string[]> {
    const path = `/apps/${app}/machines/${id}/logs?lines=${lines}`
    const text = await this.#call<string>('GET', path, { action: 'get-logs', id, isText: true }, signal)
    const entries = text.split('\n').filter(Boolean)
    return entries.map((entry) => (JSON.parse(entry) as { message?: string }).message ?? '')
  }

  machine(app: string, id: string, signal: AbortSignal): Promise<Machine | null> {
    return orNull(this.#call<Machine>('GET', `/apps/${app}/machines/${id}`, { action: 'get', id }, signal))
  }

  /** Made once: when the answer is lost or unclear, the machine is looked up by its name, which is unique in the app. */
  async createMachine(app: string, body: NewMachine, signal: AbortSignal): Promise<Machine> {
    const call = { action: 'create', id: app, body, answerMs: createMs, repeat: 'no' } as const
    for (let attempt = 1; ; attempt++) {
      try {
        const made = await this.#call<Machine>('POST', `/apps/${app}/machines`, call, signal)
        crashPoint('create-sent')
        return made
      } catch (error) {
        signal.throwIfAborted()
        const made = (await this.machines(app, signal)).find(({ name }) => name === body.name)
        if (made) return made
        if (!isAway(error) || attempt === attempts) throw error
        await delay(pauseMs(attempt), undefined, { signal })
      }
    }
  }

  /** Replaces the whole config, if the machine is still at `current_version`. Not repeated when the answer is lost. */
  async updateMachine(
    app: string,
    id: string,
    body: MachineUpdate,
    nonce: string,
    signal: AbortSignal,
  ): Promise<Machine> {
    const call = { action: 'update', id, body, nonce, answerMs: createMs, repeat: 'no' } as const
    const updated = await this.#call<Machine>('POST', `/apps/${app}/machines/${id}`, call, signal)
    crashPoint('update-sent')
    return updated
  }

  startMachine(app: string, id: string, nonce: string | undefined, signal: AbortSignal): Promise<object> {
    return this.#call('POST', `/apps/${app}/machines/${id}/start`, { action: 'start', id, nonce }, signal)
  }

  stopMachine(app: string, id: string, nonce: string | undefined, signal: AbortSignal): Promise<object> {
    return this.#call('POST', `/apps/${app}/machines/${id}/stop`, { action: 'stop', id, nonce, body: {} }, signal)
  }

  /** Takes a machine out of the proxy, or back in; it runs on. */
  cordon(app: string, id: string, how: 'cordon' | 'uncordon', nonce: string | undefined, signal: AbortSignal) {
    return this.#call<object>('POST', `/apps/${app}/machines/${id}/${how}`, { action: how, id, nonce }, signal)
  }

  /** Kills and destroys; one that is gone already is fine. */
  async deleteMachine(app: string, id: string, nonce: string | undefined, signal: AbortSignal): Promise<void> {
    await orNull(
      this.#call('DELETE', `/apps/${app}/machines/${id}?force=true`, { action: 'delete', id, nonce }, signal),
    )
  }

  setMetadata(app: string, id: string, key: string, value: string, signal: AbortSignal): Promise<object> {
    const path = `/apps/${app}/machines/${id}/metadata/${encodeURIComponent(key)}`
    return this.#call('POST', path, { action: 'metadata', id, body: { value } }, signal)
  }

  /** True as soon as the machine is in this state, or one of these (`settled`: any resting one) on this version; false when `withinMs` have gone by. */
  async wait(
    app: string,
    id: string,
    want: { state: WaitState | readonly WaitState[]; version?: string; withinMs: number },
    signal: AbortSignal,
  ): Promise<boolean> {
    const deadline = performance.now() + want.withinMs
    for (;;) {
      const leftSeconds = Math.ceil((deadline - performance.now()) / 1000)
      if (leftSeconds <= 0) return false
      const seconds = Math.min(leftSeconds, windowSeconds)
      const query = new URLSearchParams({ state: [want.state].join(), timeout: `${seconds}` })
      if (want.version) query.set('version', want.version)
      const path = `/apps/${app}/machines/${id}/wait?${query.toString()}`
      try {
        await this.#call('GET', path, { action: 'wait', id, answerMs: (seconds + 10) * 1000 }, signal)
        return true
      } catch (error) {
        const status = statusOf(error)
        if (status === 404 && want.state.includes('destroyed')) return true
        // 404: a machine just made is not known everywhere at once.
        if (status !== 408 && status !== 404) throw error
        if (status === 404) await delay(500, undefined, { signal })
      }
    }
  }

  /** Asked for once: after a lost answer the lease may be held by nobody who knows its nonce, until it runs out. */
  async acquireLease(
    app: string,
    id: string,
    ttlSeconds: number,
    description: string,
    signal: AbortSignal,
  ): Promise<string> {
    const call = { action: 'lease', id, body: { ttl: ttlSeconds, description }, repeat: 'no' } as const
    const answer = await this.#call<LeaseAnswer>('POST', `/apps/${app}/machines/${id}/lease`, call, signal)
    crashPoint('lease-taken')
    return nonceOf(answer)
  }

  async refreshLease(app: string, id: string, ttlSeconds: number, nonce: string, signal: AbortSignal): Promise<string> {
    const call = { action: 'lease', id, body: { ttl: ttlSeconds }, nonce }
    return nonceOf(await this.#call<LeaseAnswer>('POST', `/apps/${app}/machines/${id}/lease`, call, signal))
  }

  async releaseLease(app: string, id: string, nonce: string, signal: AbortSignal): Promise<void> {
    const call = { action: 'release-lease', id, nonce }
    await orNull(this.#call('DELETE', `/apps/${app}/machines/${id}/lease`, call, signal))
  }

  /** A question about an app that waits for its turn is asked once for all who wait for its answer. What it gives is not to be changed. */
  #read<T>(action: string, id: string, path: string, signal: AbortSignal): Promise<T> {
    let asked = this.#waiting.get(path) as Promise<T> | undefined
    if (!asked) {
      const begins = () => this.#waiting.delete(path)
      asked = this.#call<T>('GET', path, { action, id, begins }, AbortSignal.timeout(readMs)).finally(begins)
      this.#waiting.set(path, asked)
    }
    return unlessAborted(asked, signal)
  }

  async #call<T>(method: 'GET' | 'POST' | 'DELETE', path: string, call: Call, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      await this.#budget.take(call.action, call.id, signal)
      call.begins?.()
      const answer = await this.#send(method, path, call, signal)
      if ('value' in answer) return answer.value as T
      if (attempt === attempts || answer.repeat === 'never') throw answer.problem
      if (answer.repeat === 'idempotent' && call.repeat === 'no') throw answer.problem
      if (answer.pauseMs !== undefined) this.#budget.pause(call.action, call.id, answer.pauseMs)
      else await delay(pauseMs(attempt), undefined, { signal })
    }
  }

  async #send(method: 'GET' | 'POST' | 'DELETE', path: string, call: Call, signal: AbortSignal): Promise<Answer> {
    const what = `${method} ${path.replace(/\?.*/, '')}`
    try {
      const response = await request(`${this.#baseUrl}/v1${path}`, {
        method,
        dispatcher: this.#agent,
        signal,
        headersTimeout: call.answerMs ?? answerMs,
        headers: {
          authorization: this.#authorization,
          'user-agent': 'tarmac',
          ...(call.body && { 'content-type': 'application/json' }),
          ...(call.nonce && { 'fly-machine-lease-nonce': call.nonce }),
        },
        ...(call.body && { body: JSON.stringify(call.body) }),
      })
      const text = await readText(response.body)
      const { statusCode: status, headers } = response
      if (status < 300) return { value: call.isText ? text : text === '' ? {} : JSON.parse(text) }
      const facts = { status, requestId: headers['fly-request-id'] ?? null, fly: wordsOf(text) }
      return refused(what, status, facts, headers['retry-after'])
    } catch (cause) {
      signal.throwIfAborted()
      const problem = new Problem('fly-unavailable', `Fly's Machines API did not answer (${what}). Try again later.`, {
        cause,
      })
      const unsent = unsentCodes.has((cause as { code?: string }).code ?? '')
      return { problem, repeat: unsent ? 'always' : 'idempotent' }
    }
  }
}

type Answer = { value: unknown } | { problem: Problem; repeat: 'always' | 'idempotent' | 'never'; pauseMs?: number }
type LeaseAnswer = { nonce?: string; data?: { nonce?: string } }

/** The connection was never made, so nothing can have happened. */
const unsentCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

function refused(
  what: string,
  status: number,
  facts: { status: number; requestId: unknown; fly: string },
  retryAfter: string | string[] | undefined,
): Answer {
  if (status === 429) {
    const problem = new Problem('fly-unavailable', `Fly takes no more calls for now (${what}). Try again later.`, {
      facts,
    })
    return { problem, repeat: 'always', pauseMs: (Number(retryAfter) || 1 + Math.random()) * 1000 }
  }
  if (status === 401 || status === 403) {
    const detail = `Fly refused the builder's token (${what}: ${facts.fly}). Give the builder a token that may do this.`
    return { problem: new Problem('fly-denied', detail, { facts }), repeat: 'never' }
  }
  const waited = status === 408 && what.endsWith('/wait')
  if ((status >= 500 || status === 408) && !waited) {
    const detail = `Fly could not do what was asked (${what}: ${status} ${facts.fly}). Try again later.`
    return { problem: new Problem('fly-unavailable', detail, { facts }), repeat: 'idempotent' }
  }
  return {
    problem: new Problem('fly-refused', `Fly refused (${what}: ${status} ${facts.fly}).`, { facts }),
    repeat: 'never',
  }
}

/** The HTTP status behind a problem of this room, if there was an answer. */
export const statusOf = (error: unknown): number | null =>
  error instanceof Problem && typeof error.facts['status'] === 'number' ? error.facts['status'] : null

/** True when a change may have happened all the same: look before doing it again. */
export const isAway = (error: unknown): boolean => error instanceof Problem && error.code === 'fly-unavailable'

function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    answer.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    if (statusOf(error) === 404) return null
    throw error
  }
}

function nonceOf(answer: LeaseAnswer): string {
  const nonce = answer.data?.nonce ?? answer.nonce
  if (nonce) return nonce
  throw new Problem('fly-refused', 'Fly gave a lease without a nonce.', { facts: { status: 200 } })
}

function wordsOf(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown }
    if (typeof error === 'string') return error
  } catch {
    // Not JSON: a proxy on the way has spoken.
  }
  return text.slice(0, 200)
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of body) {
    sizeBytes += chunk.length
    if (sizeBytes > answerBytes) throw new Error(`an answer of more than ${answerBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Doubles from 250 ms to 4 s, half of it at random. */
const pauseMs = (attempt: number): number => Math.min(250 * 2 ** (attempt - 1), 4000) * (0.5 + Math.random() / 2)
