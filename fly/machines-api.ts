import { z } from 'zod'
import { changeSecrets, listSecrets, type SecretChange } from './app-secrets.ts'
import { crashPoint } from '#api/flow/crash-point.ts'
import { pause, retry } from '#api/flow/retry.ts'
import {
  App,
  ignored,
  type IpAssignment,
  logLines,
  machineAnswer,
  Processes,
  Regions,
  type Volume,
  type LogLine,
  type Process,
} from './answers.ts'
import {
  maxAttempts,
  createMs,
  FlyCalls,
  isUnavailable,
  orNull,
  pauseMs,
  statusOf,
  type Endpoint,
} from './fly-calls.ts'
import { assignIp, listIps, releaseIp } from './apps/ip-assignments.ts'
import { listOrgApps, listOrgMachines } from './list-org.ts'
import { MachineChanges } from './machine-changes.ts'
import { MachineLease, type LeaseRequest } from './machine-lease.ts'
import type { Machine, MachineRef, NewIp, NewMachine } from './machine.ts'
import { NetworkPolicies } from './network/network-policies.ts'
import { createVolume, deleteVolume, listVolumes, type NewVolume } from './volumes.ts'

const windowSeconds = 60 // Fly's limit for one wait

type WaitState = 'settled' | 'started' | 'stopped' | 'suspended' | 'failed' | 'destroyed'

/**
 * Fly's Machines API as typed calls. Throws `fly-unavailable` if Fly is unavailable or its answer
 * was lost: a change may or may not have happened. Throws `fly-denied` if Fly refuses the token,
 * and `fly-refused` with Fly's own message and `facts.status`.
 */
export class MachinesApi {
  readonly policies: NetworkPolicies
  readonly #calls: FlyCalls

  constructor(endpoint: Endpoint) {
    this.#calls = new FlyCalls(endpoint)
    this.policies = new NetworkPolicies(this.#calls)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#calls[Symbol.asyncDispose]()
  }

  /** The codes of Fly's regions. */
  async regions(signal: AbortSignal): Promise<string[]> {
    const call = { path: '/platform/regions', action: 'regions', id: '', answer: Regions }
    return (await this.#calls.read(call, signal)).Regions.map(({ code }) => code)
  }

  /** Throws `fly-denied` or `fly-refused` unless the token reaches the organisation. */
  async checkOrg(org: string, signal: AbortSignal): Promise<void> {
    const path = `/orgs/${encodeURIComponent(org)}/machines?limit=1`
    await this.#calls.read({ path, action: 'check-org', id: org, answer: ignored }, signal)
  }

  /** Throws `fly-denied` unless the token is valid, whatever it may do. */
  async checkToken(signal: AbortSignal): Promise<void> {
    const call = { path: '/tokens/current', action: 'check-token', id: '', answer: ignored }
    await this.#calls.read(call, signal)
  }

  /** Null: there is no such app. Throws `fly-denied` if it is another organisation's. */
  app(app: string, signal: AbortSignal): Promise<App | null> {
    const call = { path: `/apps/${app}`, action: 'get', id: app, answer: App }
    return orNull(this.#calls.read(call, signal))
  }

  /** The names of an organisation's apps. Fly refuses this to a token of one app (fly.md 2.2). */
  orgApps(org: string, signal: AbortSignal): Promise<string[]> {
    return listOrgApps(this.#calls, org, signal)
  }

  async createApp(
    { name, org, network }: { name: string; org: string; network: string | null },
    signal: AbortSignal,
  ): Promise<void> {
    const body = { name, org_slug: org, ...(network && { network }) }
    const call = { path: '/apps?wait=true', action: 'create-app', id: org, answer: ignored }
    await this.#calls.call({ ...call, method: 'POST', body, repeat: 'no' }, signal)
  }

  /** Deletes the app and its machines. Succeeds if it is already gone. */
  async deleteApp(app: string, signal: AbortSignal): Promise<void> {
    const call = { path: `/apps/${app}?force=true`, action: 'delete-app', id: app, answer: ignored }
    await orNull(this.#calls.call({ ...call, method: 'DELETE' }, signal))
  }

  ipAssignments(app: string, signal: AbortSignal): Promise<IpAssignment[]> {
    return listIps(this.#calls, app, signal)
  }

  /** See `assignIp`. */
  assignIp(app: string, body: NewIp, signal: AbortSignal): Promise<string | null> {
    return assignIp(this.#calls, app, body, signal)
  }

  /** Succeeds if the address is already gone. */
  releaseIp(app: string, ip: string, signal: AbortSignal): Promise<void> {
    return releaseIp(this.#calls, app, ip, signal)
  }

  secrets(app: string, signal: AbortSignal, minVersion = 0) {
    return listSecrets(this.#calls, { app, minVersion }, signal)
  }

  changeSecrets(app: string, change: SecretChange, signal: AbortSignal) {
    return changeSecrets(this.#calls, { app, change }, signal)
  }

  volumes(app: string, signal: AbortSignal): Promise<Volume[]> {
    return listVolumes(this.#calls, app, signal)
  }

  /** Never creates two. If the answer is lost or unclear, the caller must look for the volume. */
  createVolume(app: string, volume: NewVolume, signal: AbortSignal): Promise<{ id: string }> {
    return createVolume(this.#calls, app, volume, signal)
  }

  /** See `deleteVolume`. */
  deleteVolume(app: string, id: string, signal: AbortSignal): Promise<void> {
    return deleteVolume(this.#calls, app, id, signal)
  }

  /** All machines except those destroyed or being destroyed. */
  async machines(app: string, signal: AbortSignal): Promise<Machine[]> {
    const answer = z.array(machineAnswer).nullable()
    const call = { path: `/apps/${app}/machines`, action: 'list', id: app, answer }
    const all = (await this.#calls.read(call, signal)) ?? []
    return all.filter(({ state }) => state !== 'destroyed' && state !== 'destroying')
  }

  /** Those of all apps of an organisation. See `listOrgMachines`. */
  orgMachines(org: string, since: Date | null, signal: AbortSignal) {
    return listOrgMachines(this.#calls, { org, since }, signal)
  }

  machine({ app, id }: MachineRef, signal: AbortSignal): Promise<Machine | null> {
    const call = { path: `/apps/${app}/machines/${id}`, action: 'get', id, answer: machineAnswer }
    return orNull(this.#calls.call({ ...call, method: 'GET' }, signal))
  }

  /**
   * The last lines that the machine's programs printed. Fly does not document this call. Sources:
   * fly-go's pull request 159, and live observation.
   */
  async machineLog(
    { app, id }: MachineRef,
    lines: number,
    signal: AbortSignal,
  ): Promise<LogLine[]> {
    const path = `/apps/${app}/machines/${id}/logs?lines=${lines}`
    const call = { path, action: 'get-logs', id, answer: z.string() }
    return logLines(await this.#calls.call({ ...call, method: 'GET', isText: true }, signal))
  }

  /** The programs that run in a started machine, with the addresses where they listen. */
  async processes({ app, id }: MachineRef, signal: AbortSignal): Promise<Process[]> {
    const call = { path: `/apps/${app}/machines/${id}/ps`, action: 'ps', id, answer: Processes }
    return (await this.#calls.call({ ...call, method: 'GET' }, signal)) ?? []
  }

  /**
   * True once the machine is in one of these states, and on this version if given. `settled` means
   * any settled state. False: `withinMs` has passed.
   */
  async wait(
    { app, id }: MachineRef,
    wanted: { state: WaitState | readonly WaitState[]; version?: string; withinMs: number },
    signal: AbortSignal,
  ): Promise<boolean> {
    const deadline = performance.now() + wanted.withinMs
    for (;;) {
      const leftSeconds = Math.ceil((deadline - performance.now()) / 1000)
      if (leftSeconds <= 0) return false
      const seconds = Math.min(leftSeconds, windowSeconds)

      const query = new URLSearchParams({ state: [wanted.state].join(), timeout: `${seconds}` })
      if (wanted.version) query.set('version', wanted.version)
      const path = `/apps/${app}/machines/${id}/wait?${query.toString()}`
      const call = { path, action: 'wait', id, answer: ignored }

      try {
        const answerMs = (seconds + 10) * 1000
        await this.#calls.call({ ...call, method: 'GET', answerMs }, signal)
        return true
      } catch (error) {
        const status = statusOf(error)
        if (status === 404 && wanted.state.includes('destroyed')) return true
        // 404: a new machine is not visible everywhere at once.
        if (status !== 408 && status !== 404) throw error
        if (status === 404) await pause(500, signal)
      }
    }
  }

  /**
   * Never creates two. If the answer is lost or unclear, it finds the machine by its name, which is
   * unique in the app.
   */
  createMachine(app: string, body: NewMachine, signal: AbortSignal): Promise<Machine> {
    const call = { path: `/apps/${app}/machines`, action: 'create', id: app, answer: machineAnswer }
    const more = { method: 'POST', body, answerMs: createMs, repeat: 'no' } as const
    let refusal: unknown
    const create = async () => {
      try {
        const made = await this.#calls.call({ ...call, ...more }, signal)
        crashPoint('create-sent')
        return made
      } catch (error) {
        refusal = error
        signal.throwIfAborted()
        const made = (await this.machines(app, signal)).find(({ name }) => name === body.name)
        if (made) return made
        throw error
      }
    }

    // Not when the look itself failed: the machine may exist.
    const isRetryable = (error: unknown) => error === refusal && isUnavailable(error)
    return retry(create, { isRetryable, pauseMs: pauseBefore }, signal)
  }

  /** Takes the right to change a machine. */
  lease(machine: MachineRef, request: LeaseRequest, signal: AbortSignal): Promise<MachineLease> {
    return MachineLease.acquire(this.#calls, machine, request, signal)
  }

  /** Changes of a machine that nobody else is expected to change, such as a new one. */
  withoutLease(machine: MachineRef): MachineChanges {
    return new MachineChanges(this.#calls, machine)
  }
}

const pauseBefore = (attempt: number) => (attempt > maxAttempts ? null : pauseMs(attempt - 1))
