import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import type { SecretVersion } from '#api/release.ts'
import { crashPoint } from '../crash-point.ts'
import { attempts, FlyCalls, isUnavailable, pauseMs, statusOf } from './fly-calls.ts'
import type { Machine, MachineConfig } from './machine.ts'

const createMs = 120_000 // pulling a large image
const windowSeconds = 60 // Fly's limit for one wait

/** `id` tells an app from a later app of the same name. */
export type App = {
  id?: string
  name: string
  status?: string
  machine_count?: number
  network?: string
}
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
  /** The machine starts cordoned. */
  skip_service_registration?: boolean
}
export type MachineUpdate = {
  config: MachineConfig
  current_version: string
  skip_launch?: boolean
}

type WaitState = 'settled' | 'started' | 'stopped' | 'failed' | 'destroyed'
/**
 * Fly's Machines API as typed calls. Throws `fly-unavailable` if Fly is unavailable or its answer
 * was lost: a change may or may not have happened. Throws `fly-denied` if Fly refuses the token,
 * and `fly-refused` with Fly's own message and `facts.status`.
 */
export class MachinesApi {
  readonly #calls: FlyCalls

  constructor(place: { baseUrl: string; token: string }) {
    this.#calls = new FlyCalls(place)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#calls[Symbol.asyncDispose]()
  }

  /** Null: there is no such app. Throws `fly-denied` if it is another organisation's. */
  app(app: string, signal: AbortSignal): Promise<App | null> {
    return orNull(this.#calls.read<App>('get', app, `/apps/${app}`, signal))
  }

  createApp(
    app: { name: string; org: string; network: string | null },
    signal: AbortSignal,
  ): Promise<object> {
    const body = { name: app.name, org_slug: app.org, ...(app.network && { network: app.network }) }
    return this.#calls.call(
      'POST',
      '/apps?wait=true',
      { action: 'create-app', id: app.org, body, repeat: 'no' },
      signal,
    )
  }

  /** Deletes the app and its machines. Succeeds if it is already gone. */
  deleteApp(app: string, signal: AbortSignal): Promise<object | null> {
    return orNull(
      this.#calls.call(
        'DELETE',
        `/apps/${app}?force=true`,
        { action: 'delete-app', id: app },
        signal,
      ),
    )
  }

  async ipAssignments(app: string, signal: AbortSignal): Promise<IpAssignment[]> {
    const path = `/apps/${app}/ip_assignments`
    return (
      (await this.#calls.read<{ ips: IpAssignment[] | null }>('list-ips', app, path, signal)).ips ??
      []
    )
  }

  assignIp(
    app: string,
    body: { type: string; network?: string },
    signal: AbortSignal,
  ): Promise<IpAssignment> {
    return this.#calls.call(
      'POST',
      `/apps/${app}/ip_assignments`,
      { action: 'assign-ip', id: app, body, repeat: 'no' },
      signal,
    )
  }

  /** Succeeds if the address is already gone. */
  async releaseIp(app: string, ip: string, signal: AbortSignal): Promise<void> {
    const path = `/apps/${app}/ip_assignments/${encodeURIComponent(ip)}`
    await orNull(this.#calls.call('DELETE', path, { action: 'release-ip', id: app }, signal))
  }

  async volumes(app: string, signal: AbortSignal): Promise<Volume[]> {
    return (
      (await this.#calls.read<Volume[] | null>(
        'list-volumes',
        app,
        `/apps/${app}/volumes`,
        signal,
      )) ?? []
    )
  }

  /** Names and digests. Fly never returns the values. */
  async secrets(app: string, signal: AbortSignal): Promise<SecretVersion[]> {
    const path = `/apps/${app}/secrets`
    const answer = await this.#calls.read<{ secrets?: SecretVersion[] | null }>(
      'list-secrets',
      app,
      path,
      signal,
    )
    return (answer.secrets ?? []).map(({ name, digest }) => ({ name, digest }))
  }

  /** Never creates two. If the answer is lost or unclear, the caller must look for the volume. */
  createVolume(app: string, volume: NewVolume, signal: AbortSignal): Promise<Volume> {
    const call = {
      action: 'create-volume',
      id: app,
      body: { encrypted: true, ...volume },
      repeat: 'no',
    } as const
    return this.#calls.call('POST', `/apps/${app}/volumes`, call, signal)
  }

  /** All machines except those destroyed or being destroyed. */
  async machines(app: string, signal: AbortSignal): Promise<Machine[]> {
    const all = await this.#calls.read<Machine[] | null>(
      'list',
      app,
      `/apps/${app}/machines`,
      signal,
    )
    return (all ?? []).filter(({ state }) => state !== 'destroyed' && state !== 'destroying')
  }

  /**
   * The last lines that the machine's programs printed. Fly does not document this call. Sources:
   * fly-go's pull request 159, and live observation.
   */
  async machineLog(app: string, id: string, lines: number, signal: AbortSignal): Promise<string[]> {
    const path = `/apps/${app}/machines/${id}/logs?lines=${lines}`
    const text = await this.#calls.call<string>(
      'GET',
      path,
      { action: 'get-logs', id, isText: true },
      signal,
    )
    const entries = text.split('\n').filter(Boolean)
    return entries.map((entry) => (JSON.parse(entry) as { message?: string }).message ?? '')
  }

  machine(app: string, id: string, signal: AbortSignal): Promise<Machine | null> {
    return orNull(
      this.#calls.call<Machine>(
        'GET',
        `/apps/${app}/machines/${id}`,
        { action: 'get', id },
        signal,
      ),
    )
  }

  /**
   * Never creates two. If the answer is lost or unclear, it finds the machine by its name, which is
   * unique in the app.
   */
  async createMachine(app: string, body: NewMachine, signal: AbortSignal): Promise<Machine> {
    const call = { action: 'create', id: app, body, answerMs: createMs, repeat: 'no' } as const
    for (let attempt = 1; ; attempt++) {
      try {
        const made = await this.#calls.call<Machine>('POST', `/apps/${app}/machines`, call, signal)
        crashPoint('create-sent')
        return made
      } catch (error) {
        signal.throwIfAborted()
        const made = (await this.machines(app, signal)).find(({ name }) => name === body.name)
        if (made) return made
        if (!isUnavailable(error) || attempt === attempts) throw error
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
    const updated = await this.#calls.call<Machine>(
      'POST',
      `/apps/${app}/machines/${id}`,
      call,
      signal,
    )
    crashPoint('update-sent')
    return updated
  }

  startMachine(
    app: string,
    id: string,
    nonce: string | undefined,
    signal: AbortSignal,
  ): Promise<object> {
    return this.#calls.call(
      'POST',
      `/apps/${app}/machines/${id}/start`,
      { action: 'start', id, nonce },
      signal,
    )
  }

  stopMachine(
    app: string,
    id: string,
    nonce: string | undefined,
    signal: AbortSignal,
  ): Promise<object> {
    return this.#calls.call(
      'POST',
      `/apps/${app}/machines/${id}/stop`,
      { action: 'stop', id, nonce, body: {} },
      signal,
    )
  }

  /** Takes a machine out of Fly's proxy, or puts it back. The machine keeps running. */
  cordon(
    app: string,
    id: string,
    how: 'cordon' | 'uncordon',
    nonce: string | undefined,
    signal: AbortSignal,
  ) {
    return this.#calls.call<object>(
      'POST',
      `/apps/${app}/machines/${id}/${how}`,
      { action: how, id, nonce },
      signal,
    )
  }

  /** Kills and destroys the machine. Succeeds if it is already gone. */
  async deleteMachine(
    app: string,
    id: string,
    nonce: string | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    await orNull(
      this.#calls.call(
        'DELETE',
        `/apps/${app}/machines/${id}?force=true`,
        { action: 'delete', id, nonce },
        signal,
      ),
    )
  }

  setMetadata(
    app: string,
    id: string,
    key: string,
    value: string,
    signal: AbortSignal,
  ): Promise<object> {
    const path = `/apps/${app}/machines/${id}/metadata/${encodeURIComponent(key)}`
    return this.#calls.call('POST', path, { action: 'metadata', id, body: { value } }, signal)
  }

  /**
   * True once the machine is in one of these states, and on this version if given. `settled` means
   * any settled state. False: `withinMs` has passed.
   */
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
        await this.#calls.call(
          'GET',
          path,
          { action: 'wait', id, answerMs: (seconds + 10) * 1000 },
          signal,
        )
        return true
      } catch (error) {
        const status = statusOf(error)
        if (status === 404 && want.state.includes('destroyed')) return true
        // 404: a new machine is not visible everywhere at once.
        if (status !== 408 && status !== 404) throw error
        if (status === 404) await delay(500, undefined, { signal })
      }
    }
  }

  /** Not repeated after a lost answer: until it expires, nobody may know the lease's nonce. */
  async acquireLease(
    app: string,
    id: string,
    ttlSeconds: number,
    description: string,
    signal: AbortSignal,
  ): Promise<string> {
    const call = {
      action: 'lease',
      id,
      body: { ttl: ttlSeconds, description },
      repeat: 'no',
    } as const
    const answer = await this.#calls.call<LeaseAnswer>(
      'POST',
      `/apps/${app}/machines/${id}/lease`,
      call,
      signal,
    )
    crashPoint('lease-taken')
    return nonceOf(answer)
  }

  async refreshLease(
    app: string,
    id: string,
    ttlSeconds: number,
    nonce: string,
    signal: AbortSignal,
  ): Promise<string> {
    const call = { action: 'lease', id, body: { ttl: ttlSeconds }, nonce }
    return nonceOf(
      await this.#calls.call<LeaseAnswer>(
        'POST',
        `/apps/${app}/machines/${id}/lease`,
        call,
        signal,
      ),
    )
  }

  async releaseLease(app: string, id: string, nonce: string, signal: AbortSignal): Promise<void> {
    const call = { action: 'release-lease', id, nonce }
    await orNull(this.#calls.call('DELETE', `/apps/${app}/machines/${id}/lease`, call, signal))
  }
}

type LeaseAnswer = { nonce?: string; data?: { nonce?: string } }

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
