import { existsSync, renameSync, rmSync } from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
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
import { poll } from '#api/flow/retry.ts'
import { Connection } from '../connection.ts'
import { ListWorkers } from '../messages.ts'
import { markClean, markCache, markInUse } from './cache-marker.ts'
import { removeLeftovers } from './containers.ts'
import {
  configOf,
  firstSocketOf,
  socketOf,
  tmpOf,
  traceSocketOf,
  writeConfig,
} from './daemon-config.ts'
import type { DaemonSettings } from './daemon-settings.ts'
import { limitsEnvironment, removeGroups, sweepSteps } from './step-limits.ts'
import { runcWithOutputLimit, stepOutputEnv } from './step-output.ts'

const readyMs = 60_000
const stopMs = 20_000
const restartMs = 5000
/** The daemon hangs if it does not answer this many questions in a row. */
const usualLook = { everyMs: 5000, answerMs: 10_000, misses: 3 }
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
    await stopRecorded(recordOf(settings), stopMs)
    await removeLeftovers(settings)

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
    await removeLeftovers(this.#settings)

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
    const mark = () => markCache(this.#settings.root).catch(() => false)
    const retries = { everyMs: usualLook.everyMs, forMs: Infinity }
    await poll(async () => (await mark()) || null, retries, this.#stopping.signal).catch(() => {})
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#stopping
    for (let waitMs = pauseMs.first; ; waitMs = Math.min(waitMs * 2, pauseMs.longest)) {
      const startedAt = performance.now()
      const reason = await this.#program.ended
      if (signal.aborted) return
      if (performance.now() - startedAt > pauseMs.steadyAfter) waitMs = pauseMs.first
      this.#log.error({ reason, waitMs }, 'build daemon ended; it restarts')
      await removeLeftovers(this.#settings)
      await sleep(waitMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      const program = await launch(this.#settings).catch(() => null)
      if (program === null) continue // the ended process is still current, so try again
      this.#program = program
      this.#opened = this.#open()
      this.#opened.catch(async (err: unknown) => {
        if (signal.aborted) return
        this.#log.error({ err }, 'build daemon did not restart')
        await program.stop(0)
      })
    }
  }

  async #endHung(): Promise<void> {
    const { signal } = this.#stopping
    const look = this.#settings.look ?? usualLook
    const connection = new Connection(this.address)
    let probed: SupervisedProcess | null = null

    for (let misses = 0; ;) {
      await sleep(look.everyMs, undefined, { signal }).catch(() => {})
      await this.#opened.catch(() => {}) // a start has its own timeout
      if (signal.aborted) break
      if (probed !== this.#program) misses = 0
      probed = this.#program
      const soon = AbortSignal.any([signal, AbortSignal.timeout(look.answerMs)])
      const answers = await connection.ask(ListWorkers, {}, soon).then(
        () => true,
        () => false,
      )
      misses = answers ? 0 : misses + 1
      if (misses < look.misses || probed !== this.#program || signal.aborted) continue
      this.#log.error(
        { misses, askedEveryMs: look.everyMs },
        'build daemon does not answer; the gateway stops it',
      )
      await probed.stop(0)
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
    const over = new AbortController()
    void ended.then((reason) => over.abort(reason))
    const tooLate = setTimeout(() => over.abort(`no answer within ${readyMs / 1000} s`), readyMs)

    const ready = async () => {
      const answer = await connection.ask(ListWorkers, {}, over.signal).catch(() => null)
      return answer && answer.workers.length > 0 ? true : null
    }

    try {
      await poll(ready, { everyMs: 50, forMs: Infinity }, over.signal)
    } catch {
      throw new Problem(
        'buildkit-unavailable',
        `The build daemon did not start (${over.signal.reason}). Its output says why.`,
      )
    } finally {
      clearTimeout(tooLate)
      connection.close()
    }
  }
}

const addressOf = (settings: DaemonSettings) => `unix://${socketOf(settings)}`
const recordOf = ({ dir }: DaemonSettings) => join(dir, 'buildkitd.json')

async function launch(settings: DaemonSettings): Promise<SupervisedProcess> {
  const { command, root, limits, stepLogBytes } = settings
  await rm(socketOf(settings), { force: true })
  await writeConfig(settings)
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
