import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Checks } from './checks.ts'
import type { Container, Containers, Exit } from './containers.ts'
import { durationMs } from './duration.ts'
import { exitText, mayRestart, recentRestarts } from './exits.ts'
import { FlyError } from './fly-error.ts'
import { FaultError, type Hostile } from './hostile.ts'
import { resolveImage } from './image-ref.ts'
import type { MachineJobs } from './machine-jobs.ts'
import { writeBoot } from './machine-log.ts'
import { mountsOf, removeFiles } from './machine-mounts.ts'
import { InternalNames } from './network/names.ts'
import { membersOf } from './network/networks.ts'
import { policyRules } from './network/policy-rules.ts'
import type { OwnApi } from './own-api.ts'
import { runSpec } from './run-spec.ts'
import type { FlyState, Machine, MachineState } from './state.ts'

export type Stop = { signal?: string | undefined; timeout?: string | number | undefined }

const stopMs = 5000
const restartPauseMs = { least: 250, most: 5000 }

type Parts = {
  state: FlyState
  podman: Containers
  registry: string
  hostile: Hostile
  jobs: MachineJobs
  ownApi: OwnApi
}

/** What localfly does to machines after it has answered. Each action returns a resting state. */
export class MachineActions {
  readonly #state: FlyState
  readonly #podman: Containers
  readonly #registry: string
  readonly #hostile: Hostile
  readonly #jobs: MachineJobs
  readonly #ownApi: OwnApi
  readonly #checks: Checks
  readonly #names: InternalNames

  constructor({ state, podman, registry, hostile, jobs, ownApi }: Parts) {
    this.#state = state
    this.#podman = podman
    this.#registry = registry
    this.#hostile = hostile
    this.#jobs = jobs
    this.#ownApi = ownApi
    this.#checks = new Checks(state)
    this.#names = new InternalNames(state, podman.hostAddress)
    state.onChange(() => this.#names.update())
  }

  [Symbol.dispose](): void {
    this.#checks[Symbol.dispose]()
  }

  async launch(machine: Machine): Promise<MachineState> {
    this.#hostile.meet('pull-fails', machine)
    if (machine.own.wantsRun) return this.boot(machine)
    await this.#pull(machine)
    return 'stopped'
  }

  /** Updates a machine to its new version, or silently back to the previous one, as Fly does. */
  async replace(machine: Machine): Promise<MachineState> {
    const { own } = machine
    const config = structuredClone(machine.config)
    try {
      this.#hostile.meet('pull-fails', machine)
      await this.#pull(machine)
      await this.#halt(machine, {})
      this.#hostile.meet('reverts', machine)
      const rest = own.wantsRun ? await this.boot(machine) : 'stopped'
      // Metadata that was written meanwhile is lost, because the update has its own copy.
      machine.config = config
      own.previous = null
      return rest
    } catch (error) {
      this.#jobs.closing.throwIfAborted()
      if (error instanceof FaultError && error.fault === 'never-starts') own.previous = null
      if (!own.previous) throw error
      const { state, secrets, ...version } = own.previous
      Object.assign(machine, version)
      own.secrets = secrets
      own.previous = null
      own.versions = own.versions.slice(1)
      if (own.container) return state === 'suspended' ? state : 'started'
      if (state === 'started' || state === 'starting' || state === 'restarting')
        return this.boot(machine)
      return state === 'failed' ? state : 'stopped'
    }
  }

  async #pull(machine: Machine): Promise<string> {
    machine.image_ref = await resolveImage(machine.image_ref, this.#registry)
    return this.#podman.pull(machine.image_ref)
  }

  async boot(machine: Machine): Promise<MachineState> {
    const image = await this.#pull(machine)
    await this.#hostile.hold('slow-start', machine, this.#jobs.closing)
    this.#hostile.meet('never-starts', machine)
    // In a lab whose folder has moved, the machines move to its new network.
    if (!this.#podman.addresses().includes(machine.private_ip))
      machine.private_ip = this.freeAddress()
    const logFile = this.#logFile(machine)
    writeBoot(logFile)
    const ownApi = await this.#ownApi.open(machine)
    await this.separate()
    const container = await this.#podman.run({
      ...runSpec(machine, image),
      mounts: mountsOf({ state: this.#state, names: this.#names, ownApi }, machine),
      logFile,
      firewall: policyRules(
        this.#state.apps.get(machine.own.app)?.policies ?? [],
        machine,
        this.#podman.hostAddress,
      ),
    })
    this.#state.addEvent(machine, 'start', 'started', 'flyd')
    this.watch(machine, container)
    return 'started'
  }

  /** Keeps the machines of each network apart from those of others. */
  separate(): Promise<void> {
    return this.#podman.separate(membersOf(this.#state))
  }

  watch(machine: Machine, container: Container): void {
    machine.own.container = container
    machine.own.command = container.command
    this.#checks.watch(machine)
    this.#hostile.later('crashes', machine, () => void this.#podman.kill(container, 'SIGKILL'))
    this.#podman.exited(container, this.#jobs.closing).then(
      (exit) => this.#jobs.queue(machine, () => this.#ended(machine, container, exit)),
      (error: unknown) => {
        if (machine.own.container === container) this.#jobs.report(machine, error)
      },
    )
  }

  /** Handles a program that ended by itself, by the restart policy. */
  async #ended(machine: Machine, container: Container, exit: Exit): Promise<void> {
    const { state, own, config } = machine
    if (own.container !== container) return
    this.#checks.unwatch(machine)
    own.container = null
    own.restartedAt = recentRestarts(own.restarts === 0 ? [] : own.restartedAt, Date.now())
    own.restarts = own.restartedAt.length
    const again = state === 'started' && mayRestart(config, exit, own.restarts)
    if (again) own.restarts = own.restartedAt.push(Date.now())
    this.#addExit(machine, exit, { requested: false, restarting: again })
    if (again) this.#jobs.add(machine, 'restarting', () => this.#bootLater(machine))
    else if (state === 'started' && config.auto_destroy)
      this.#jobs.add(machine, 'destroying', () => this.destroy(machine))
    else if (state === 'started' || state === 'suspended') machine.state = 'stopped'
    this.#state.save(machine)
  }

  async #bootLater(machine: Machine): Promise<MachineState> {
    const pauseMs = Math.min(
      restartPauseMs.least * 2 ** (machine.own.restarts - 1),
      restartPauseMs.most,
    )
    await sleep(pauseMs, undefined, { signal: this.#jobs.closing })
    // A stop or an update may have arrived meanwhile.
    return machine.state === 'restarting' ? this.boot(machine) : machine.state
  }

  async stop(machine: Machine, how: Stop): Promise<MachineState> {
    const exit = await this.#halt(machine, how)
    if (exit) this.#addExit(machine, exit, { requested: true, restarting: false })
    return machine.state === 'stopping' && machine.config.auto_destroy
      ? this.destroy(machine)
      : 'stopped'
  }

  /** Ends a running program: signal, grace period, kill. */
  async #halt(machine: Machine, how: Stop): Promise<Exit | null> {
    const { own, config } = machine
    const { container } = own
    this.#checks.unwatch(machine)
    own.container = null
    if (!container) return null
    const isPaused = this.#podman.isPaused(container)
    // A stop discards what was suspended, so the program does not learn of it.
    if (isPaused) await this.#podman.kill(container, 'SIGKILL')
    await this.#podman.unpause(container)
    const exited = this.#podman.exited(container, this.#jobs.closing)
    exited.catch(() => {})
    if (!isPaused)
      await this.#podman.kill(container, how.signal ?? config.stop_config?.signal ?? 'SIGINT')
    const patience = new AbortController()
    const timeoutMs = durationMs(how.timeout || config.stop_config?.timeout, stopMs)
    const late = sleep(timeoutMs, true, { signal: patience.signal }).catch(() => true)
    const isLate = await Promise.race([exited.then(() => false), late])
    patience.abort()
    if (isLate) await this.#podman.kill(container, 'SIGKILL')
    const exit = await exited
    await this.#hostile.hold('slow-stop', machine, this.#jobs.closing)
    return exit
  }

  async suspend(machine: Machine): Promise<MachineState> {
    if (!machine.own.container) return 'stopped'
    this.#checks.unwatch(machine)
    await this.#podman.pause(machine.own.container)
    this.#state.addEvent(machine, 'suspend', 'suspended', 'flyd')
    return 'suspended'
  }

  async resume(machine: Machine): Promise<MachineState> {
    if (!machine.own.container) return this.boot(machine)
    await this.#podman.unpause(machine.own.container)
    this.#checks.watch(machine)
    this.#state.addEvent(machine, 'start', 'started', 'flyd')
    return 'started'
  }

  async destroy(machine: Machine): Promise<MachineState> {
    this.#checks.unwatch(machine)
    machine.own.container = null
    await this.#podman.remove(machine.id)
    removeFiles(this.#state, machine)
    this.#ownApi.close(machine)
    this.#state.addEvent(machine, 'destroy', 'destroyed', 'flyd')
    return 'destroyed'
  }

  freeAddress(): string {
    const machines = [...this.#state.machines.values()].filter(({ state }) => state !== 'destroyed')
    const taken = new Set(machines.map((machine) => machine.private_ip))
    const free = this.#podman.addresses().find((address) => !taken.has(address))
    if (free) return free
    throw new FlyError(
      422,
      `insufficient resources: the lab holds ${taken.size} machines`,
      'insufficient_capacity',
    )
  }

  #logFile({ id }: Machine): string {
    const file = this.#state.folder('logs', id)
    mkdirSync(dirname(file), { recursive: true })
    return file
  }

  #addExit(machine: Machine, exit: Exit, how: { requested: boolean; restarting: boolean }): void {
    const { type, request } = exitText(exit, how, machine.own.restarts)
    this.#state.addEvent(machine, type, 'stopped', 'flyd', request)
  }
}
