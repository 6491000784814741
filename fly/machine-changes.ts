import { ExecResult, ignored } from './answers.ts'
import { orNull, type FlyCalls } from './fly-calls.ts'
import type { MachineRef } from './machine.ts'

/** The changes of a machine that Fly allows with and without a lease. See `MachineLease`. */
export class MachineChanges {
  readonly ref: MachineRef
  protected readonly calls: FlyCalls
  readonly #nonce: string | undefined

  constructor(calls: FlyCalls, ref: MachineRef, nonce?: string) {
    this.calls = calls
    this.ref = ref
    this.#nonce = nonce
  }

  async start(signal: AbortSignal): Promise<void> {
    await this.#post('start', signal)
  }

  async stop(signal: AbortSignal): Promise<void> {
    await this.#post('stop', signal, {})
  }

  /** Stops the machine, and keeps its memory for a fast start. Fly refuses it for a large machine. */
  async suspend(signal: AbortSignal): Promise<void> {
    await this.#post('suspend', signal)
  }

  /** Takes the machine out of Fly's proxy. It keeps running. */
  async cordon(signal: AbortSignal): Promise<void> {
    await this.#post('cordon', signal)
  }

  async uncordon(signal: AbortSignal): Promise<void> {
    await this.#post('uncordon', signal)
  }

  /** Kills and destroys the machine. Succeeds if it is already gone. */
  async destroy(signal: AbortSignal): Promise<void> {
    const { app, id } = this.ref
    const path = `/apps/${app}/machines/${id}?force=true`
    const call = { method: 'DELETE', path, action: 'delete', id, answer: ignored } as const
    await orNull(this.calls.call({ ...call, nonce: this.#nonce }, signal))
  }

  /**
   * Runs a command in the started machine, without a shell. Never runs it twice. Fly takes this
   * without a lease, and answers 200 also when the command fails. Source: fly.md's OpenAPI,
   * `MachineExecRequest`.
   */
  exec(command: string[], seconds: number, signal: AbortSignal): Promise<ExecResult> {
    const { app, id } = this.ref
    const path = `/apps/${app}/machines/${id}/exec`
    const call = { method: 'POST', path, action: 'exec', id, answer: ExecResult } as const
    const body = { command, timeout: seconds }
    const more = { body, answerMs: (seconds + 15) * 1000, repeat: 'no' } as const
    return this.calls.call({ ...call, ...more }, signal)
  }

  /** Fly takes this without a lease, even while somebody holds one. */
  async setMetadata(key: string, value: string, signal: AbortSignal): Promise<void> {
    const { app, id } = this.ref
    const path = `/apps/${app}/machines/${id}/metadata/${encodeURIComponent(key)}`
    const call = { method: 'POST', path, action: 'metadata', id, answer: ignored } as const
    await this.calls.call({ ...call, body: { value } }, signal)
  }

  /**
   * Sets several keys, which makes no new version. Throws `fly-refused` with status 412 if the
   * machine is not on this version any more.
   */
  async mergeMetadata(
    metadata: Record<string, string>,
    version: string,
    signal: AbortSignal,
  ): Promise<void> {
    const { app, id } = this.ref
    const path = `/apps/${app}/machines/${id}/metadata`
    const call = { method: 'PATCH', path, action: 'metadata', id, answer: ignored } as const
    await this.calls.call({ ...call, body: { metadata, machine_version: version } }, signal)
  }

  async #post(action: string, signal: AbortSignal, body?: object): Promise<void> {
    const { app, id } = this.ref
    const path = `/apps/${app}/machines/${id}/${action}`
    const call = { method: 'POST', path, action, id, answer: ignored } as const
    await this.calls.call({ ...call, body, nonce: this.#nonce }, signal)
  }
}
