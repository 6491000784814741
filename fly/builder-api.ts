import { z } from 'zod'
import { App, ignored, Volume } from './answers.ts'
import { FlyCalls, orNull, statusOf, type Endpoint } from './fly-calls.ts'
import type { MachineRef } from './machine.ts'

/** Source: fly.md's OpenAPI, `main.tokenInfo`. `user`: only of a token that belongs to a person. */
const TokenInfo = z.object({
  token_id: z.string().nullish(),
  org_slug: z.string().nullish(),
  apps: z.array(z.string()).nullish(),
  user: z.string().nullish(),
})
export type TokenInfo = z.infer<typeof TokenInfo>
const Tokens = z.object({ tokens: z.array(TokenInfo).nullish() })

/** Names as on the wire. The coordinates are in degrees. */
const Region = z.object({
  code: z.string(),
  name: z.string().nullish(),
  latitude: z.number().nullish(),
  longitude: z.number().nullish(),
  deprecated: z.boolean().nullish(),
  requires_paid_plan: z.boolean().nullish(),
})
export type Region = z.infer<typeof Region>
const Places = z.object({ Nearest: z.string().nullish(), Regions: z.array(Region) })

const Apps = z.object({ apps: z.array(App).nullish() })
const SecretsSet = z.object({ version: z.number().nullish(), Version: z.number().nullish() })
const Said = z.object({
  exit_code: z.number().nullish(),
  stdout: z.string().nullish(),
  stderr: z.string().nullish(),
})
export type Said = z.infer<typeof Said>
const Extended = z.object({ needs_restart: z.boolean().nullish() })
const Snapshot = z.object({
  id: z.string(),
  created_at: z.string().nullish(),
  status: z.string().nullish(),
})
export type Snapshot = z.infer<typeof Snapshot>

/**
 * The calls of the Machines API that only the makers of a builder need: `tarmac up` and `tarmac
 * down`. Throws the same problems as `MachinesApi`.
 */
export class BuilderApi {
  readonly #calls: FlyCalls
  readonly #token: string

  constructor(endpoint: Endpoint) {
    this.#calls = new FlyCalls(endpoint)
    this.#token = endpoint.token
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#calls[Symbol.asyncDispose]()
  }

  /** What Fly knows of the caller's token. */
  async tokens(signal: AbortSignal): Promise<TokenInfo[]> {
    const call = { path: '/tokens/current', action: 'token', id: '', answer: Tokens }
    return (await this.#calls.read(call, signal)).tokens ?? []
  }

  /**
   * Whether the caller's token may make apps in this organisation. Null: Fly's answer does not say.
   * Source: the Machines API's OpenAPI, `Tokens_authorize`; nobody has seen its answer to a refusal.
   */
  async mayMakeApps(org: string, signal: AbortSignal): Promise<boolean | null> {
    const header = this.#token.startsWith('FlyV1 ') ? this.#token : `FlyV1 ${this.#token}`
    const body = { header, access: { org_slug: org, action: 'c' } }
    const call = { path: '/tokens/authorize', action: 'authorize', id: '', answer: ignored }
    try {
      await this.#calls.call({ ...call, method: 'POST', body }, signal)
      return true
    } catch (error) {
      if ([401, 403].includes(statusOf(error) ?? 0)) return false
      if (statusOf(error) !== null) return null
      throw error
    }
  }

  /** All apps of an organisation. Throws `fly-denied` with a token for single apps. */
  async apps(org: string, signal: AbortSignal): Promise<App[]> {
    const path = `/apps?org_slug=${encodeURIComponent(org)}`
    const call = { path, action: 'list-apps', id: org, answer: Apps }
    return (await this.#calls.read(call, signal)).apps ?? []
  }

  async regions(signal: AbortSignal): Promise<{ nearest: string | null; regions: Region[] }> {
    const call = { path: '/platform/regions', action: 'places', id: '', answer: Places }
    const { Nearest, Regions } = await this.#calls.read(call, signal)
    return { nearest: Nearest ?? null, regions: Regions }
  }

  /** Returns the version of the app's secrets, which a new machine can ask for. */
  async setSecrets(
    app: string,
    values: Record<string, string>,
    signal: AbortSignal,
  ): Promise<number | null> {
    const call = { path: `/apps/${app}/secrets`, action: 'set-secrets', id: app } as const
    const more = { method: 'POST', body: { values }, answer: SecretsSet } as const
    const { version, Version } = await this.#calls.call({ ...call, ...more }, signal)
    return version ?? Version ?? null
  }

  /** Runs a command in a started machine. A command that fails has its exit code in the answer. */
  exec(
    { app, id }: MachineRef,
    { command, seconds }: { command: string[]; seconds: number },
    signal: AbortSignal,
  ): Promise<Said> {
    const path = `/apps/${app}/machines/${id}/exec`
    const call = { method: 'POST', path, action: 'exec', id, answer: Said } as const
    const body = { command, timeout: seconds }
    return this.#calls.call({ ...call, body, answerMs: (seconds + 10) * 1000 }, signal)
  }

  volume(app: string, id: string, signal: AbortSignal): Promise<Volume | null> {
    const path = `/apps/${app}/volumes/${id}`
    const call = { method: 'GET', path, action: 'get', id, answer: Volume } as const
    return orNull(this.#calls.call(call, signal))
  }

  /** Succeeds if the volume is already gone. Fly keeps its snapshots for their retention time. */
  async deleteVolume(app: string, id: string, signal: AbortSignal): Promise<void> {
    const path = `/apps/${app}/volumes/${id}`
    const call = { method: 'DELETE', path, action: 'delete-volume', id, answer: ignored } as const
    await orNull(this.#calls.call(call, signal))
  }

  /** Volumes cannot shrink. */
  async extendVolume(
    app: string,
    id: string,
    sizeGb: number,
    signal: AbortSignal,
  ): Promise<{ needsRestart: boolean }> {
    const path = `/apps/${app}/volumes/${id}/extend`
    const call = { method: 'PUT', path, action: 'extend-volume', id, answer: Extended } as const
    const answer = await this.#calls.call({ ...call, body: { size_gb: sizeGb } }, signal)
    return { needsRestart: answer.needs_restart ?? false }
  }

  /** Newest first. */
  async snapshots(app: string, volume: string, signal: AbortSignal): Promise<Snapshot[]> {
    const path = `/apps/${app}/volumes/${volume}/snapshots`
    const call = { path, action: 'list-snapshots', id: volume, answer: z.array(Snapshot) }
    const all = await this.#calls.read(call, signal)
    return all.toSorted((a, b) => (b.created_at ?? '').localeCompare(a.created_at ?? ''))
  }
}
