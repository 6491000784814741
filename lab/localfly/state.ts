import { EventEmitter, once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Hostname } from './certificates.ts'
import type { ImageRef } from './image-ref.ts'
import type { MachineConfig } from './machine-config.ts'
import type { NetworkPolicy } from './network/policy-rules.ts'
import type { Container } from './containers.ts'
import { ulid } from './ulid.ts'

export type IpAssignment = {
  ip: string
  region: string
  service_name: string
  shared: boolean
  created_at: string
  /** The network of a Flycast address, and the organisation of that network. */
  network: string | null
  org_slug?: string
}

/** The scope of a token for one app, and its expiry (epoch milliseconds). */
export type DeployToken = { app: string; until: number }

export type App = {
  id: string
  name: string
  org_slug: string
  network: string
  internal_numeric_id: number
  created_at: number
  ips: IpAssignment[]
  hostnames: Hostname[]
  secrets: Record<string, Secret>
  secretsVersion: number
  /** Newest first. */
  releases: Release[]
  policies?: NetworkPolicy[]
}

export type Secret = {
  name: string
  value: string
  digest: string
  created_at: string
  updated_at: string
}

/** A deploy as flyctl reports it. */
export type Release = {
  id: string
  version: number
  status: string
  strategy: string
  image_ref: string
  definition: unknown
  created_at: string
}

export type Volume = {
  id: string
  app: string
  name: string
  region: string
  size_gb: number
  encrypted?: boolean | null | undefined
  fstype?: string | null | undefined
  snapshot_retention?: number | null | undefined
  auto_backup_enabled?: boolean | null | undefined
  created_at: string
  /** Newest first. Each is a folder beside the volume's. */
  snapshots: { id: string; [fact: string]: unknown }[]
}

export type MachineState =
  | 'created'
  | 'starting'
  | 'started'
  | 'stopping'
  | 'stopped'
  | 'suspending'
  | 'suspended'
  | 'restarting'
  | 'replacing'
  | 'destroying'
  | 'destroyed'
  | 'failed'

export type MachineEvent = {
  id: string
  type: string
  status: string
  source: 'user' | 'proxy' | 'flyd'
  timestamp: number
  request?: Record<string, unknown>
}

export type CheckStatus = {
  name: string
  status: 'passing' | 'warning' | 'critical'
  output: string
  updated_at: string
}

/** The version that a machine returns to when an update fails. */
export type PreviousVersion = Pick<
  Machine,
  'instance_id' | 'config' | 'image_ref' | 'events' | 'state'
> & {
  secrets: Record<string, string>
}

/** A machine as Fly shows it (wire names). `own` holds what Fly does not show. */
export type Machine = {
  id: string
  name: string
  region: string
  state: MachineState
  instance_id: string
  image_ref: ImageRef
  config: MachineConfig
  private_ip: string
  created_at: string
  updated_at: string
  cordoned: boolean
  host_status: 'ok'
  /** Newest first. */
  events: MachineEvent[]
  checks: CheckStatus[]
  own: {
    app: string
    lease: Lease | null
    versions: { version: string; user_config: MachineConfig }[]
    container: Container | null
    /** The command of the last start. */
    command?: string
    previous: PreviousVersion | null
    /** The app's secrets at the creation of this version. */
    secrets: Record<string, string>
    /** Whether the machine should run once its job is done. */
    wantsRun: boolean
    /** Since the last start that was asked for, and within Fly's window. */
    restarts: number
    restartedAt?: number[]
  }
}

type Stored = {
  apps: App[]
  crossNetworkReplays?: string[]
  machines: Machine[]
  volumes: Volume[]
  deployTokens: Record<string, DeployToken>
}

const eventsKept = 50
const destroyedKeptMs = 3_600_000

/** All state of localfly, in memory and, complete after every change, in one file. */
export class FlyState {
  readonly apps = new Map<string, App>()
  readonly machines = new Map<string, Machine>()
  readonly volumes = new Map<string, Volume>()
  readonly deployTokens = new Map<string, DeployToken>()
  /** The organisations whose apps may replay requests to their other networks. */
  readonly crossNetworkReplays = new Set<string>()
  readonly #dir: string
  readonly #file: string
  readonly #changes = new EventEmitter().setMaxListeners(0)

  constructor(dir: string) {
    mkdirSync(dir, { recursive: true })
    this.#dir = dir
    this.#file = join(dir, 'state.json')
    if (!existsSync(this.#file)) return
    const stored = JSON.parse(readFileSync(this.#file, 'utf8')) as Stored
    for (const app of stored.apps)
      this.apps.set(
        app.name,
        Object.assign({ hostnames: [], secrets: {}, secretsVersion: 0, releases: [] }, app),
      )
    for (const org of stored.crossNetworkReplays ?? []) this.crossNetworkReplays.add(org)
    for (const volume of stored.volumes ?? []) this.volumes.set(volume.id, volume)
    for (const [token, scope] of Object.entries(stored.deployTokens))
      this.deployTokens.set(token, scope)
    for (const machine of stored.machines) {
      const isOld =
        machine.state === 'destroyed' &&
        Date.now() - Date.parse(machine.updated_at) > destroyedKeptMs
      machine.own.secrets ??= {}
      if (isOld) rmSync(this.folder('logs', machine.id), { force: true })
      else this.machines.set(machine.id, machine)
    }
  }

  /** The app's machines without destroyed ones. */
  machinesOf(app: string): Machine[] {
    return [...this.machines.values()].filter(
      (machine) => machine.own.app === app && machine.state !== 'destroyed',
    )
  }

  volumesOf(app: string): Volume[] {
    return [...this.volumes.values()].filter((volume) => volume.app === app)
  }

  /** The folder for data outside the state: volume contents, files for machines, their logs. */
  folder(kind: 'volumes' | 'files' | 'logs' | 'names' | 'own-api', name: string): string {
    return join(this.#dir, kind, name)
  }

  addEvent(
    machine: Machine,
    type: string,
    status: string,
    source: MachineEvent['source'],
    request?: Record<string, unknown>,
  ): void {
    const event = {
      id: ulid(),
      type,
      status,
      source,
      timestamp: Date.now(),
      ...(request && { request }),
    }
    machine.events = [event, ...machine.events].slice(0, eventsKept)
    this.save(machine)
  }

  save(machine?: Machine): void {
    if (machine) machine.updated_at = new Date().toISOString()
    const stored: Stored = {
      apps: [...this.apps.values()],
      crossNetworkReplays: [...this.crossNetworkReplays],
      machines: [...this.machines.values()],
      volumes: [...this.volumes.values()],
      deployTokens: Object.fromEntries(this.deployTokens),
    }
    writeFileSync(`${this.#file}.new`, JSON.stringify(stored), { mode: 0o600 })
    renameSync(`${this.#file}.new`, this.#file)
    this.#changes.emit('change')
  }

  onChange(listener: () => void): void {
    this.#changes.on('change', listener)
  }

  /** Resolves at the next change; rejects when the signal aborts. */
  async changed(signal: AbortSignal): Promise<void> {
    await once(this.#changes, 'change', { signal })
  }
}

/** `expires_at` in Unix seconds, as on the wire. */
export type Lease = {
  nonce: string
  expires_at: number
  owner: string
  version: string
  description: string
}
