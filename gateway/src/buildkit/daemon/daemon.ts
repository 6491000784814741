import { existsSync, renameSync, rmSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '#api/problem.ts'
import { tool, toolPath } from '../../host/child/exec-tool.ts'
import {
  supervise,
  stopRecorded,
  type SupervisedProcess,
} from '../../host/child/supervised-process.ts'
import type { Logger } from '../../log.ts'
import { Connection } from '../connection.ts'
import { ListWorkers } from '../messages.ts'
import { markClean, markCache, markInUse } from './cache-marker.ts'
import { configOf, configText, firstSocketOf, socketOf, traceSocketOf } from './daemon-config.ts'
import type { DaemonSettings } from './daemon-settings.ts'
import { limitsEnvironment, removeGroups, sweepSteps } from './step-limits.ts'
import { runcWithOutputLimit, stepOutputEnv } from './step-output.ts'

const readyMs = 60_000
const stopMs = 20_000
const restartMs = 5000
/** The daemon hangs if it does not answer this many questions in a row. */
const look = { everyMs: 5000, answerMs: 10_000, misses: 3 }
const pauseMs = { first: 250, longest: 15_000, steadyAfter: 60_000 }

/**
 * The build daemon as a supervised child process. It restarts with growing pauses when it dies or
 * hangs.
 */
export class Daemon {
  readonly #settings: DaemonSettings
  readonly #log: Logger
  readonly #stopping = new AbortController()
  #program: SupervisedProcess
  /** Resolves when clients can find the current daemon. Rejects if the daemon does not start. */
  #opened: Promise<void>
  readonly #supervised: Promise<unknown>

  /**
   * Ends what an earlier gateway left running. Resolves when the daemon answers; throws
   * `buildkit-unavailable` otherwise.
   */
  static async start(settings: DaemonSettings, log: Logger): Promise<Daemon> {
    await mkdir(settings.root, { recursive: true })
    await writeConfig(settings)
    await stopRecorded(recordOf(settings), stopMs)
    await sweep(settings)

    const marked = await markInUse(settings.root, log)
    await sweepSteps(settings.root)
    await mkdir(tmpOf(settings), { recursive: true })

    const daemon = new Daemon(settings, log, await launch(settings))
    try {
      await daemon.#opened
      if (!marked) void daemon.#markWhenRoom()
      return daemon
    } catch (error) {
      await daemon[Symbol.asyncDispose]()
      throw error
    }
  }

  private constructor(settings: DaemonSettings, log: Logger, program: SupervisedProcess) {
    this.#settings = settings
    this.#log = log
    this.#program = program
    this.#opened = this.#open()
    this.#supervised = Promise.all([this.#supervise(), this.#endHung()])
  }

  get address(): string {
    return addressOf(this.#settings)
  }

  get pid(): number {
    return this.#program.pid
  }

  /**
   * Restarts the daemon to free space that it does not give back. Running builds are stopped if
   * they do not end soon.
   */
  async restart(): Promise<void> {
    const old = this.#program
    await old.stop(restartMs)
    while (this.#program === old && !this.#stopping.signal.aborted) await sleep(50)
    await this.#opened
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#program.stop(stopMs)
    await this.#supervised
    await sweep(this.#settings)

    if ((await readdir(join(this.#settings.root, 'net/cni')).catch(() => [])).length > 0) {
      // A killed daemon leaves network namespaces. Only the daemon can remove them, so it starts
      // once more for that.
      this.#program = await launch(this.#settings)
      await this.#open().catch((err: unknown) =>
        this.#log.warn({ err }, 'build daemon left network namespaces'),
      )
      await this.#program.stop(stopMs)
    }

    await removeGroups(this.#settings.root)
    await rm(socketOf(this.#settings), { force: true })
    await markClean(this.#settings.root)
    // The daemon removes the bridge only if it created it, not if an earlier daemon that was killed
    // created it.
    await tool('ip', 'link', 'delete', this.#settings.bridge.name)
  }

  async #markWhenRoom(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted && !(await markCache(this.#settings.root).catch(() => false)))
      await sleep(look.everyMs, undefined, { signal }).catch(() => {})
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#stopping
    for (let waitMs = pauseMs.first; ; waitMs = Math.min(waitMs * 2, pauseMs.longest)) {
      const startedAt = performance.now()
      const how = await this.#program.ended
      if (signal.aborted) return
      if (performance.now() - startedAt > pauseMs.steadyAfter) waitMs = pauseMs.first
      this.#log.error({ how, waitMs }, 'build daemon ended; it is started again')
      await sweep(this.#settings)
      await sleep(waitMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      const program = await launch(this.#settings).catch(() => null)
      if (program === null) continue // the ended process is still current, so try again
      this.#program = program
      this.#opened = this.#open()
      this.#opened.catch(async (err: unknown) => {
        if (signal.aborted) return
        this.#log.error({ err }, 'build daemon did not start again')
        await program.stop(0)
      })
    }
  }

  async #endHung(): Promise<void> {
    const { signal } = this.#stopping
    const connection = new Connection(this.address)
    let asked: SupervisedProcess | null = null

    for (let misses = 0; ;) {
      await sleep(look.everyMs, undefined, { signal }).catch(() => {})
      await this.#opened.catch(() => {}) // a start has its own timeout
      if (signal.aborted) break
      if (asked !== this.#program) misses = 0
      asked = this.#program
      const soon = AbortSignal.any([signal, AbortSignal.timeout(look.answerMs)])
      const answers = await connection.ask(ListWorkers, {}, soon).then(
        () => true,
        () => false,
      )
      misses = answers ? 0 : misses + 1
      if (misses < look.misses || asked !== this.#program || signal.aborted) continue
      this.#log.error(
        { misses, askedEveryMs: look.everyMs },
        'build daemon answers nothing; it is ended',
      )
      await asked.stop(0)
    }
    connection.close()
  }

  /**
   * Waits until the daemon answers, removes its trace socket, and only then lets clients find the
   * daemon. Steps come only from clients, so no step ever sees that socket. Behind it is the daemon
   * itself, as root and without limits.
   */
  async #open(): Promise<void> {
    const settings = this.#settings
    const program = this.#program
    await this.#answers(program)
    if (program !== this.#program)
      throw new Error('the build daemon ended as soon as it had started')
    // Synchronous calls, so that these are the sockets of the daemon that just answered.
    rmSync(traceSocketOf(settings), { force: true })
    renameSync(firstSocketOf(settings), socketOf(settings))
  }

  async #answers({ ended }: SupervisedProcess): Promise<void> {
    const connection = new Connection(`unix://${firstSocketOf(this.#settings)}`)
    const deadline = AbortSignal.timeout(readyMs)

    try {
      do {
        const answer = await connection.ask(ListWorkers, {}, deadline).catch(() => null)
        if (answer && answer.workers.length > 0) return
      } while (await Promise.race([ended.then(() => false), sleep(50, !deadline.aborted)]))
    } finally {
      connection.close()
    }

    const how = await Promise.race([ended, sleep(0, `no answer within ${readyMs / 1000} s`)])
    throw new Problem(
      'buildkit-unavailable',
      `The build daemon did not start (${how}); its own words say why.`,
    )
  }
}

const addressOf = (settings: DaemonSettings) => `unix://${socketOf(settings)}`
/**
 * The folder for the daemon's temporary mounts. It is inside the root, so that `sweep` finds the
 * mounts of a killed daemon.
 */
const tmpOf = ({ root }: DaemonSettings) => join(root, 'tmp')
const recordOf = ({ dir }: DaemonSettings) => join(dir, 'buildkitd.json')

async function launch(settings: DaemonSettings): Promise<SupervisedProcess> {
  const { command, root, limits, stepLogBytes } = settings
  await rm(socketOf(settings), { force: true })
  return supervise({
    command,
    args: ['--config', configOf(settings)],
    env: {
      PATH: `${dirname(command)}:${toolPath}`,
      TMPDIR: tmpOf(settings),
      OTEL_TRACES_EXPORTER: 'none',
      ...stepOutputEnv(stepLogBytes),
      TARMAC_RUNC: runcWithOutputLimit,
      ...limitsEnvironment(limits, root),
      ...(inContainer() && { BUILDKIT_SETUP_CGROUPV2_ROOT: '1' }),
    },
    record: recordOf(settings),
  })
}

/**
 * In a container, the processes must leave the root group (v2) before groups with limits can exist
 * below it.
 */
const inContainer = () => existsSync('/sys/fs/cgroup/cgroup.type')

/**
 * Removes what a killed daemon leaves: running containers with their processes, and mounts. The
 * daemon removes its network namespaces itself when it starts again.
 */
async function sweep({ root, command }: DaemonSettings): Promise<void> {
  const namespaces = join(root, 'net/')
  for (const runc of [join(dirname(command), 'buildkit-runc'), 'runc']) {
    const containers = JSON.parse((await tool(runc, 'list', '--format', 'json')) ?? 'null') as
      | Container[]
      | null
    for (const { id, bundle } of containers ?? [])
      if (bundle.startsWith(`${root}/`)) await tool(runc, 'delete', '--force', id)
  }
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4]?.replaceAll('\\040', ' ') ?? '')
    .filter((path) => path.startsWith(`${root}/`) && !path.startsWith(namespaces))
  for (const mount of mounts.toReversed()) await tool('umount', '--lazy', mount)
}
type Container = { id: string; bundle: string }

/** Does not write an unchanged file: a full disk has no space for a new one. */
async function writeConfig(settings: DaemonSettings): Promise<void> {
  const path = configOf(settings)
  const text = configText(settings)
  if ((await readFile(path, 'utf8').catch(() => null)) !== text) await writeFile(path, text)
}
