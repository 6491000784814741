import { randomBytes } from 'node:crypto'
import { errorCode } from '#api/error-code.ts'
import type { Container, Containers, Said } from './containers.ts'
import { FlyError } from './fly-error.ts'
import type { Hostile } from './hostile.ts'
import { parseImage } from './image-ref.ts'
import { MachineActions, type Stop } from './machine-actions.ts'
import { type Launch, withDefaults } from './machine-config.ts'
import type { Issuer } from '../issuer.ts'
import { MachineJobs } from './machine-jobs.ts'
import { whyNotSuspend } from './suspend.ts'
import { newMachine, secretsFor } from './new-machine.ts'
import { OwnApi } from './own-api.ts'
import { processesOf } from './processes.ts'
import type { App, FlyState, Machine, MachineEvent, MachineState } from './state.ts'
import { ulid } from './ulid.ts'

const atRest: MachineState[] = ['created', 'stopped', 'failed', 'destroyed']
const stopAnswerMs = 3000

/**
 * Runs the machines. Like Fly it answers first and acts afterwards, except for a stop. Each call
 * checks its input, shows the transitional state, and queues a job. A machine's jobs run in
 * sequence.
 */
export class Flyd {
  readonly #state: FlyState
  readonly #podman: Containers
  readonly #jobs: MachineJobs
  readonly #actions: MachineActions
  readonly #ownApi: OwnApi

  constructor(parts: {
    state: FlyState
    podman: Containers
    registry: string
    hostile: Hostile
    issuer?: Issuer
  }) {
    this.#state = parts.state
    this.#podman = parts.podman
    this.#jobs = new MachineJobs(parts.state)
    const suspend = (machine: Machine) => this.suspend(machine)
    this.#ownApi = new OwnApi({ state: parts.state, suspend, issuer: parts.issuer })
    this.#actions = new MachineActions({ ...parts, jobs: this.#jobs, ownApi: this.#ownApi })
  }

  create(app: App, launch: Launch): Machine {
    const id = randomBytes(7).toString('hex')
    const name = launch.name ?? `machine-${id.slice(0, 6)}`
    const twin = this.#state.machinesOf(app.name).find((machine) => machine.name === name)
    if (twin) {
      const text = `unique machine name violation, machine ID ${twin.id} already exists with name "${name}"`
      throw new FlyError(409, `already_exists: ${text}`)
    }
    const machine = newMachine(app, launch, { id, name, address: this.#actions.freeAddress() })
    this.#state.machines.set(id, machine)
    this.#state.addEvent(machine, 'launch', 'pending', 'flyd')
    this.#state.addEvent(machine, 'launch', 'created', 'user')
    this.#jobs.add(machine, 'created', () => this.#actions.launch(machine))
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
    this.#jobs.add(machine, 'replacing', () => this.#actions.replace(machine))
  }

  /**
   * Returns the previous state. A machine may start while it is being suspended
   * (community.fly.io/t/machines-can-now-start-from-the-suspending-state/26623).
   */
  start(machine: Machine, by: MachineEvent['source'] = 'user'): MachineState {
    const before = machine.state
    if (before === 'started' || before === 'starting') return before
    if (before === 'replacing')
      throw new FlyError(412, 'failed_precondition: machine getting replaced, refusing to start')
    if (before === 'stopping')
      throw new FlyError(412, 'failed_precondition: machine still active, refusing to start')
    expectState('start', machine, ['stopped', 'suspended', 'suspending', 'failed'])
    machine.own.restarts = 0
    this.#state.addEvent(machine, 'start', 'starting', by)
    this.#jobs.add(machine, 'starting', () =>
      before === 'suspended' || before === 'suspending'
        ? this.#actions.resume(machine)
        : this.#actions.boot(machine),
    )
    return before
  }

  /** Resolves when the machine has stopped, or when that takes too long. */
  async stopAndWait(machine: Machine, how: Stop): Promise<void> {
    this.stop(machine, how)
    const late = AbortSignal.any([AbortSignal.timeout(stopAnswerMs), this.#jobs.closing])
    while (machine.state === 'stopping' && !late.aborted)
      await this.#state.changed(late).catch(() => {})
  }

  stop(machine: Machine, how: Stop, by: MachineEvent['source'] = 'user'): void {
    if (machine.state === 'stopped' || machine.state === 'stopping') return
    expectState('stop', machine, ['started', 'starting', 'restarting', 'suspended', 'failed'])
    this.#state.addEvent(machine, 'stop', 'stopping', by)
    this.#jobs.add(machine, 'stopping', () => this.#actions.stop(machine, how))
  }

  restart(machine: Machine, how: Stop): void {
    expectState('restart', machine, ['started', 'stopped', 'failed'])
    machine.own.restarts = 0
    this.#state.addEvent(machine, 'restart', 'restarting', 'user')
    this.#jobs.add(machine, 'restarting', async () => {
      await this.#actions.stop(machine, how)
      return this.#actions.boot(machine)
    })
  }

  /** Pauses the program: it goes on in the same place when the machine starts. */
  suspend(machine: Machine, by: MachineEvent['source'] = 'user'): void {
    if (machine.state === 'suspended' || machine.state === 'suspending') return
    expectState('suspend', machine, ['started'])
    const why = whyNotSuspend(machine.config)
    if (why) throw new FlyError(412, `failed_precondition: unable to suspend machine: ${why}`)
    this.#state.addEvent(machine, 'suspend', 'suspending', by)
    this.#jobs.add(machine, 'suspending', () => this.#actions.suspend(machine))
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
    const container = containerOf('list processes of', machine)
    const ports = this.#podman.ports?.(container)
    const { pid, command } = container
    if (ports) {
      const listen_sockets = ports.map((port) => ({ proto: 'tcp', address: `0.0.0.0:${port}` }))
      return [{ pid, command, directory: '/', stime: 0, rtime: 0, cpu: 0, rss: 0, listen_sockets }]
    }
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
    this.#jobs.add(machine, 'destroying', () => this.#actions.destroy(machine))
  }

  /** Resumes after an earlier localfly: adopts running machines, and continues interrupted jobs. */
  async adopt(): Promise<void> {
    await this.#actions.separate()
    for (const machine of this.#state.machines.values()) {
      const { state, own } = machine
      const status = own.container ? await this.#podman.status(own.container) : 'gone'
      const runs = status === 'running' || status === 'paused'
      if (runs) await this.#ownApi.open(machine)
      const again = (job: () => Promise<MachineState>) => this.#jobs.add(machine, state, job)
      if (state === 'started' && own.container && status !== 'gone')
        this.#actions.watch(machine, runs ? own.container : { ...own.container, pid: 0 })
      else if (!runs) own.container = null

      if (state === 'created') again(() => this.#actions.launch(machine))
      else if (state === 'replacing') again(() => this.#actions.replace(machine))
      else if (state === 'stopping') again(() => this.#actions.stop(machine, {}))
      else if (state === 'destroying') again(() => this.#actions.destroy(machine))
      else if (state === 'suspending' && runs) again(() => this.#actions.suspend(machine))
      else if ((state === 'suspending' || state === 'suspended') && !runs) machine.state = 'stopped'
      else if (
        state === 'starting' ||
        state === 'restarting' ||
        (state === 'started' && !own.container)
      )
        this.#jobs.add(machine, 'starting', () => this.#actions.boot(machine))
    }
    this.#state.save()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#jobs.end()
    this.#actions[Symbol.dispose]()
    this.#ownApi[Symbol.dispose]()
    await this.#jobs.ended()
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
