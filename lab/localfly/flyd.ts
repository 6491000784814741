import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorCode } from '#api/error-code.ts'
import { Checks } from './checks.ts'
import { durationMs } from './duration.ts'
import { mayRestart, exitText } from './exits.ts'
import { FlyError } from './fly-error.ts'
import { FaultError, type Hostile } from './hostile.ts'
import { parseImage, resolveImage } from './image-ref.ts'
import { type Launch, withDefaults } from './machine-config.ts'
import { writeBoot } from './machine-log.ts'
import { mountsOf, removeFiles } from './machine-mounts.ts'
import { InternalNames } from './names.ts'
import type { Issuer } from '../issuer.ts'
import { OwnApi } from './own-api.ts'
import type { Container, Containers, Exit, Said } from './podman.ts'
import { processesOf } from './processes.ts'
import type { App, FlyState, Machine, MachineEvent, MachineState } from './state.ts'
import { ulid } from './ulid.ts'

export type Stop = { signal?: string | undefined; timeout?: string | number | undefined }

const atRest: MachineState[] = ['created', 'stopped', 'failed', 'destroyed']
const stopMs = 5000
const stopAnswerMs = 3000
const restartPauseMs = { least: 250, most: 5000 }

/**
 * Runs the machines. Like Fly it answers first and acts afterwards, except for a stop. Each call
 * checks its input, shows the transitional state, and queues a job. A machine's jobs run in
 * sequence.
 */
export class Flyd {
  readonly #state: FlyState
  readonly #podman: Containers
  readonly #registry: string
  readonly #hostile: Hostile
  readonly #checks: Checks
  readonly #names: InternalNames
  readonly #ownApi: OwnApi
  readonly #queues = new Map<string, Promise<void>>()
  /** Each machine's newest job. Only that job decides the resting state of the machine. */
  readonly #newest = new Map<string, symbol>()
  readonly #closing = new AbortController()

  constructor(parts: {
    state: FlyState
    podman: Containers
    registry: string
    hostile: Hostile
    issuer?: Issuer
  }) {
    this.#state = parts.state
    this.#podman = parts.podman
    this.#registry = parts.registry
    this.#hostile = parts.hostile
    this.#checks = new Checks(parts.state)
    this.#names = new InternalNames(parts.state, parts.podman.hostAddress)
    const suspend = (machine: Machine) => this.suspend(machine)
    this.#ownApi = new OwnApi({ state: parts.state, suspend, issuer: parts.issuer })
    parts.state.onChange(() => this.#names.update())
  }

  create(app: App, launch: Launch): Machine {
    const id = randomBytes(7).toString('hex')
    const name = launch.name ?? `machine-${id.slice(0, 6)}`
    const twin = this.#state.machinesOf(app.name).find((machine) => machine.name === name)
    if (twin) {
      const text = `unique machine name violation, machine ID ${twin.id} already exists with name "${name}"`
      throw new FlyError(409, `already_exists: ${text}`)
    }
    const now = new Date().toISOString()
    const config = withDefaults(launch.config)
    const version = ulid()
    const machine: Machine = {
      id,
      name,
      region: launch.region ?? 'lab',
      state: 'created',
      instance_id: version,
      image_ref: parseImage(config.image),
      config,
      private_ip: this.#freeAddress(),
      created_at: now,
      updated_at: now,
      cordoned: launch.skip_service_registration ?? false,
      host_status: 'ok',
      events: [],
      checks: [],
      own: {
        app: app.name,
        lease: null,
        versions: [{ version, user_config: config }],
        container: null,
        previous: null,
        secrets: secretsFor(app, launch),
        wantsRun: !launch.skip_launch,
        restarts: 0,
      },
    }
    this.#state.machines.set(id, machine)
    this.#state.addEvent(machine, 'launch', 'pending', 'flyd')
    this.#state.addEvent(machine, 'launch', 'created', 'user')
    this.#do(machine, 'created', () => this.#launch(machine))
    return machine
  }

  update(machine: Machine, launch: Launch): void {
    const { instance_id, config, image_ref, events, state, own } = machine
    if (launch.current_version !== undefined && launch.current_version !== instance_id) {
      const text = `machine's current version is ${instance_id}, not ${launch.current_version}`
      throw new FlyError(412, `failed_precondition: ${text}`)
    }
    if (state === 'replacing')
      throw new FlyError(409, 'aborted: machine is replacing: concurrent update in progress')
    if (state === 'destroying' || state === 'destroyed') expectState('update', machine, [])
    const staysDown = ['stopped', 'stopping', 'suspended', 'suspending'].includes(state)
    own.previous = { instance_id, config, image_ref, events, state, secrets: own.secrets }
    own.secrets = secretsFor(this.#state.apps.get(own.app), launch)
    own.wantsRun = !launch.skip_launch && !staysDown
    own.restarts = 0
    machine.config = withDefaults(launch.config)
    machine.image_ref = parseImage(machine.config.image)
    machine.instance_id = ulid()
    own.versions = [{ version: machine.instance_id, user_config: machine.config }, ...own.versions]
    machine.events = []
    this.#state.addEvent(machine, 'update', 'replacing', 'user')
    this.#state.addEvent(machine, 'launch', 'created', 'user')
    this.#do(machine, 'replacing', () => this.#replace(machine))
  }

  /** Returns the previous state. */
  start(machine: Machine, by: MachineEvent['source'] = 'user'): MachineState {
    const before = machine.state
    if (before === 'started' || before === 'starting') return before
    if (before === 'replacing')
      throw new FlyError(412, 'failed_precondition: machine getting replaced, refusing to start')
    if (before === 'stopping')
      throw new FlyError(412, 'failed_precondition: machine still active, refusing to start')
    expectState('start', machine, ['stopped', 'suspended', 'failed'])
    machine.own.restarts = 0
    this.#state.addEvent(machine, 'start', 'starting', by)
    this.#do(machine, 'starting', () =>
      before === 'suspended' ? this.#resume(machine) : this.#boot(machine),
    )
    return before
  }

  /** Resolves when the machine has stopped, or when that takes too long. */
  async stopAndWait(machine: Machine, how: Stop): Promise<void> {
    this.stop(machine, how)
    const late = AbortSignal.any([AbortSignal.timeout(stopAnswerMs), this.#closing.signal])
    while (machine.state === 'stopping' && !late.aborted)
      await this.#state.changed(late).catch(() => {})
  }

  stop(machine: Machine, how: Stop, by: MachineEvent['source'] = 'user'): void {
    if (machine.state === 'stopped' || machine.state === 'stopping') return
    expectState('stop', machine, ['started', 'starting', 'restarting', 'suspended', 'failed'])
    this.#state.addEvent(machine, 'stop', 'stopping', by)
    this.#do(machine, 'stopping', () => this.#stop(machine, how))
  }

  restart(machine: Machine, how: Stop): void {
    expectState('restart', machine, ['started', 'stopped', 'failed'])
    machine.own.restarts = 0
    this.#state.addEvent(machine, 'restart', 'restarting', 'user')
    this.#do(machine, 'restarting', async () => {
      await this.#stop(machine, how)
      return this.#boot(machine)
    })
  }

  suspend(machine: Machine, by: MachineEvent['source'] = 'user'): void {
    if (machine.state === 'suspended' || machine.state === 'suspending') return
    expectState('suspend', machine, ['started'])
    this.#state.addEvent(machine, 'suspend', 'suspending', by)
    this.#do(machine, 'suspending', () => this.#suspend(machine))
  }

  async signal(machine: Machine, signal: string): Promise<void> {
    expectState('signal', machine, ['started'])
    if (machine.own.container) await this.#podman.kill(machine.own.container, signal)
  }

  /** Runs a command in a running machine. */
  async exec(machine: Machine, command: string[], timeoutMs: number): Promise<Said> {
    const said = await this.#podman.exec(containerOf('exec on', machine), command, timeoutMs)
    if (!said)
      throw new FlyError(408, `deadline_exceeded: command did not end within ${timeoutMs / 1000}s`)
    return said
  }

  async processes(machine: Machine): ReturnType<typeof processesOf> {
    const { pid } = containerOf('list processes of', machine)
    // It may end at this moment.
    return await processesOf(pid).catch((error: unknown) => {
      if (errorCode(error) === 'ENOENT') return []
      throw error
    })
  }

  /** Starts the standbys of a machine, as Fly does when it loses the machine's host. */
  startStandbys(machine: Machine): void {
    for (const each of this.#state.machinesOf(machine.own.app))
      if (each.config.standbys?.includes(machine.id) && each.state === 'stopped') this.start(each)
  }

  destroy(machine: Machine, force: boolean): void {
    if (!force) expectState('destroy', machine, atRest)
    this.#state.addEvent(machine, 'destroy', 'destroying', 'user')
    this.#do(machine, 'destroying', () => this.#destroy(machine))
  }

  /** Resumes after an earlier localfly: adopts running machines, and continues interrupted jobs. */
  async adopt(): Promise<void> {
    for (const machine of this.#state.machines.values()) {
      const { state, own } = machine
      const status = own.container ? await this.#podman.status(own.container) : 'gone'
      const runs = status === 'running' || status === 'paused'
      if (runs) await this.#ownApi.open(machine)
      const again = (job: () => Promise<MachineState>) => this.#do(machine, state, job)
      if (state === 'started' && own.container && status !== 'gone')
        this.#watch(machine, runs ? own.container : { ...own.container, pid: 0 })
      else if (!runs) own.container = null

      if (state === 'created') again(() => this.#launch(machine))
      else if (state === 'replacing') again(() => this.#replace(machine))
      else if (state === 'stopping') again(() => this.#stop(machine, {}))
      else if (state === 'destroying') again(() => this.#destroy(machine))
      else if (state === 'suspending' && runs) again(() => this.#suspend(machine))
      else if ((state === 'suspending' || state === 'suspended') && !runs) machine.state = 'stopped'
      else if (
        state === 'starting' ||
        state === 'restarting' ||
        (state === 'started' && !own.container)
      )
        this.#do(machine, 'starting', () => this.#boot(machine))
    }
    this.#state.save()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    this.#checks[Symbol.dispose]()
    this.#ownApi[Symbol.dispose]()
    await Promise.all(this.#queues.values())
  }

  /** Queues a job that ends in a resting state. A failed job leaves the machine `failed`. */
  #do(machine: Machine, passing: MachineState, job: () => Promise<MachineState>): void {
    const turn = Symbol(passing)
    this.#newest.set(machine.id, turn)
    machine.state = passing
    this.#state.save(machine)
    this.#queue(machine, async () => {
      const rest = await job().catch((error: unknown): MachineState => {
        this.#closing.signal.throwIfAborted()
        const type = passing === 'created' ? 'launch' : 'start'
        this.#state.addEvent(machine, type, 'failed', 'flyd', { error: lastLine(error) })
        return 'failed'
      })
      if (this.#closing.signal.aborted || this.#newest.get(machine.id) !== turn) return
      machine.state = rest
      this.#state.save(machine)
    })
  }

  #queue(machine: Machine, job: () => Promise<void>): void {
    const before = this.#queues.get(machine.id) ?? Promise.resolve()
    const turn = before.then(() => (this.#closing.signal.aborted ? undefined : job()))
    this.#queues.set(
      machine.id,
      turn.catch((error: unknown) => this.#report(machine, error)),
    )
  }

  #report(machine: Machine, error: unknown): void {
    if (!this.#closing.signal.aborted) console.error(`localfly: machine ${machine.id}:`, error)
  }

  async #launch(machine: Machine): Promise<MachineState> {
    this.#hostile.meet('pull-fails', machine)
    if (machine.own.wantsRun) return this.#boot(machine)
    await this.#pull(machine)
    return 'stopped'
  }

  /** Updates a machine to its new version, or silently back to the previous one, as Fly does. */
  async #replace(machine: Machine): Promise<MachineState> {
    const { own } = machine
    const config = structuredClone(machine.config)
    try {
      this.#hostile.meet('pull-fails', machine)
      await this.#pull(machine)
      await this.#halt(machine, {})
      this.#hostile.meet('reverts', machine)
      const rest = own.wantsRun ? await this.#boot(machine) : 'stopped'
      // Metadata that was written meanwhile is lost, because the update has its own copy.
      machine.config = config
      own.previous = null
      return rest
    } catch (error) {
      this.#closing.signal.throwIfAborted()
      if (error instanceof FaultError && error.fault === 'never-starts') own.previous = null
      if (!own.previous) throw error
      const { state, secrets, ...version } = own.previous
      Object.assign(machine, version)
      own.secrets = secrets
      own.previous = null
      own.versions = own.versions.slice(1)
      if (own.container) return state === 'suspended' ? state : 'started'
      if (state === 'started' || state === 'starting' || state === 'restarting')
        return this.#boot(machine)
      return state === 'failed' ? state : 'stopped'
    }
  }

  async #pull(machine: Machine): Promise<string> {
    machine.image_ref = await resolveImage(machine.image_ref, this.#registry)
    return this.#podman.pull(machine.image_ref)
  }

  async #boot(machine: Machine): Promise<MachineState> {
    const { config } = machine
    const image = await this.#pull(machine)
    await this.#hostile.hold('slow-start', machine, this.#closing.signal)
    this.#hostile.meet('never-starts', machine)
    const exec = config.init?.exec
    // In a lab whose folder has moved, the machines move to its new network.
    if (!this.#podman.addresses().includes(machine.private_ip))
      machine.private_ip = this.#freeAddress()
    const logFile = this.#logFile(machine)
    writeBoot(logFile)
    const ownApi = await this.#ownApi.open(machine)
    const container = await this.#podman.run({
      name: machine.id,
      image,
      address: machine.private_ip,
      env: runtimeEnv(machine),
      cpus: config.guest?.cpus ?? 1,
      memoryMb: config.guest?.memory_mb ?? 256,
      swapMb: config.init?.swap_size_mb ?? 0,
      tty: config.init?.tty ?? false,
      mounts: mountsOf({ state: this.#state, names: this.#names, ownApi }, machine),
      logFile,
      entrypoint: exec ?? config.init?.entrypoint ?? undefined,
      command: exec ? [] : (config.init?.cmd ?? undefined),
    })
    this.#state.addEvent(machine, 'start', 'started', 'flyd')
    this.#watch(machine, container)
    return 'started'
  }

  #watch(machine: Machine, container: Container): void {
    machine.own.container = container
    machine.own.command = container.command
    this.#checks.watch(machine)
    this.#hostile.later('crashes', machine, () => void this.#podman.kill(container, 'SIGKILL'))
    this.#podman.exited(container, this.#closing.signal).then(
      (exit) => this.#queue(machine, () => this.#ended(machine, container, exit)),
      (error: unknown) => {
        if (machine.own.container === container) this.#report(machine, error)
      },
    )
  }

  /** Handles a program that ended by itself, by the restart policy. */
  async #ended(machine: Machine, container: Container, exit: Exit): Promise<void> {
    const { state, own, config } = machine
    if (own.container !== container) return
    this.#checks.unwatch(machine)
    own.container = null
    const again = state === 'started' && mayRestart(config, exit, own.restarts)
    if (again) own.restarts++
    this.#addExit(machine, exit, { requested: false, restarting: again })
    if (again) this.#do(machine, 'restarting', () => this.#bootLater(machine))
    else if (state === 'started' && config.auto_destroy)
      this.#do(machine, 'destroying', () => this.#destroy(machine))
    else if (state === 'started' || state === 'suspended') machine.state = 'stopped'
    this.#state.save(machine)
  }

  async #bootLater(machine: Machine): Promise<MachineState> {
    const pauseMs = Math.min(
      restartPauseMs.least * 2 ** (machine.own.restarts - 1),
      restartPauseMs.most,
    )
    await sleep(pauseMs, undefined, { signal: this.#closing.signal })
    // A stop or an update may have arrived meanwhile.
    return machine.state === 'restarting' ? this.#boot(machine) : machine.state
  }

  async #stop(machine: Machine, how: Stop): Promise<MachineState> {
    const exit = await this.#halt(machine, how)
    if (exit) this.#addExit(machine, exit, { requested: true, restarting: false })
    return machine.state === 'stopping' && machine.config.auto_destroy
      ? this.#destroy(machine)
      : 'stopped'
  }

  /** Ends a running program: signal, grace period, kill. */
  async #halt(machine: Machine, how: Stop): Promise<Exit | null> {
    const { own, config } = machine
    const { container } = own
    this.#checks.unwatch(machine)
    own.container = null
    if (!container) return null
    await this.#podman.unpause(container)
    const exited = this.#podman.exited(container, this.#closing.signal)
    exited.catch(() => {})
    await this.#podman.kill(container, how.signal ?? config.stop_config?.signal ?? 'SIGINT')
    const patience = new AbortController()
    const timeoutMs = durationMs(how.timeout || config.stop_config?.timeout, stopMs)
    const late = sleep(timeoutMs, true, { signal: patience.signal }).catch(() => true)
    const isLate = await Promise.race([exited.then(() => false), late])
    patience.abort()
    if (isLate) await this.#podman.kill(container, 'SIGKILL')
    const exit = await exited
    await this.#hostile.hold('slow-stop', machine, this.#closing.signal)
    return exit
  }

  async #suspend(machine: Machine): Promise<MachineState> {
    if (!machine.own.container) return 'stopped'
    this.#checks.unwatch(machine)
    await this.#podman.pause(machine.own.container)
    this.#state.addEvent(machine, 'suspend', 'suspended', 'flyd')
    return 'suspended'
  }

  async #resume(machine: Machine): Promise<MachineState> {
    if (!machine.own.container) return this.#boot(machine)
    await this.#podman.unpause(machine.own.container)
    this.#checks.watch(machine)
    this.#state.addEvent(machine, 'start', 'started', 'flyd')
    return 'started'
  }

  async #destroy(machine: Machine): Promise<MachineState> {
    this.#checks.unwatch(machine)
    machine.own.container = null
    await this.#podman.remove(machine.id)
    removeFiles(this.#state, machine)
    this.#ownApi.close(machine)
    this.#state.addEvent(machine, 'destroy', 'destroyed', 'flyd')
    return 'destroyed'
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

  #freeAddress(): string {
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
}

function expectState(verb: string, machine: Machine, states: MachineState[]): void {
  if (states.includes(machine.state)) return
  const text = `unable to ${verb} machine from current state: '${machine.state}'`
  throw new FlyError(412, `failed_precondition: ${text}`)
}

function containerOf(verb: string, machine: Machine): Container {
  expectState(verb, machine, ['started'])
  if (machine.own.container) return machine.own.container
  throw new FlyError(
    412,
    `failed_precondition: unable to ${verb} machine: its program is not running`,
  )
}

function secretsFor(app: App | undefined, launch: Launch): Record<string, string> {
  if (launch.skip_secrets) return {}
  return Object.fromEntries(
    Object.values(app?.secrets ?? {}).map(({ name, value }) => [name, value]),
  )
}

function runtimeEnv(machine: Machine): Record<string, string> {
  const { id, region, config, image_ref: image } = machine
  return {
    PRIMARY_REGION: region,
    ...config.env,
    ...machine.own.secrets,
    FLY_APP_NAME: machine.own.app,
    FLY_MACHINE_ID: id,
    FLY_ALLOC_ID: id,
    FLY_REGION: region,
    FLY_IMAGE_REF: `${image.registry}/${image.repository}@${image.digest}`,
    FLY_MACHINE_VERSION: machine.instance_id,
    FLY_PRIVATE_IP: machine.private_ip,
    FLY_PROCESS_GROUP: config.metadata?.['fly_process_group'] ?? '',
    FLY_VM_MEMORY_MB: String(config.guest?.memory_mb ?? 256),
  }
}

function lastLine(error: unknown): string {
  const { stderr, message } = error as Error & { stderr?: string }
  return stderr?.trim().split('\n').at(-1) || message
}
