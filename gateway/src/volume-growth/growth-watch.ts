import { errorMessage } from '#api/error-code.ts'
import type { GrowthStatus } from '#api/status/disk.ts'
import type { DiskSpace } from '../host/disk/disk-space.ts'
import type { Logger } from '../log.ts'
import { type GrowthSettings, type MountedVolume, planGrowth } from './plan-growth.ts'

export type GrowthDeps = {
  /** The file system of the volume. Null: it cannot be read now. */
  space: () => Promise<DiskSpace | null>
  /** The volume as Fly has it. Null: this is no machine of Fly's, or it has no volume. */
  volume: (signal: AbortSignal) => Promise<MountedVolume | null>
  extend: (id: string, sizeGb: number, signal: AbortSignal) => Promise<{ needsRestart: boolean }>
  /** Adapts what depends on the size. False: not now, because builds run. */
  onGrown: () => Promise<boolean>
  settings: GrowthSettings
  log: Pick<Logger, 'info' | 'warn'>
}

const everyMs = 60_000
/** While nothing is full, Fly is asked this rarely: its settings change only with the machine. */
const askEvery = 60
const callMs = 60_000
/** A file system is always a little smaller than its volume, and never the same after a change. */
const grownBy = 1.005

/**
 * Watches the size of the gateway's volume: notices that it has grown, extends it where Fly does not
 * and a setting allows it, and warns when it is full and will not grow. The timer keeps no process
 * awake.
 */
export class GrowthWatch {
  readonly #deps: GrowthDeps
  readonly #stopping = new AbortController()
  #sizeBytes: number | null = null
  #adapted = true
  #looks = 0
  #status: GrowthStatus | null = null
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()

  static start(deps: GrowthDeps): GrowthWatch {
    const watch = new GrowthWatch(deps)
    watch.#run()
    return watch
  }

  constructor(deps: GrowthDeps) {
    this.#deps = deps
  }

  /** Null: there is no volume of Fly's, or it is not known yet. */
  get status(): GrowthStatus | null {
    return this.#status
  }

  /** Looks once. A failure is logged. */
  async look(): Promise<void> {
    const space = await this.#deps.space()
    if (!space) return
    await this.#notice(space)
    const usedPercent = 100 * (1 - space.freeBytes / space.sizeBytes)
    const isFull = usedPercent >= (this.#status?.thresholdPercent ?? Infinity)
    if (isFull || this.#looks % askEvery === 0) await this.#ask(usedPercent)
    this.#looks += 1 // only after an answer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await this.#running
  }

  #run(): void {
    this.#running = this.look()
      .catch((error: unknown) => {
        if (!this.#stopping.signal.aborted)
          this.#deps.log.warn({ reason: errorMessage(error) }, 'could not look after the volume')
      })
      .then(() => {
        if (this.#stopping.signal.aborted) return
        this.#timer = setTimeout(() => this.#run(), everyMs).unref()
      })
  }

  async #notice({ sizeBytes }: DiskSpace): Promise<void> {
    const before = this.#sizeBytes
    this.#sizeBytes = sizeBytes
    if (before !== null && sizeBytes > before * grownBy) {
      this.#adapted = false
      this.#deps.log.info({ before, sizeBytes }, 'the volume has grown; its limits follow')
    }
    if (!this.#adapted) this.#adapted = await this.#deps.onGrown()
  }

  async #ask(usedPercent: number): Promise<void> {
    const { volume, extend, settings, log } = this.#deps
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(callMs)])
    const mounted = await volume(signal)
    if (!mounted) {
      this.#status = null
      return
    }

    const { extendToGb, ...status } = planGrowth(usedPercent, mounted, settings)
    const before = this.#status?.warning
    this.#status = { ...status, warning: status.warning ?? null }
    if (status.warning && !before) log.warn({ volume: mounted.id }, status.warning)
    if (extendToGb === null) return

    const { needsRestart } = await extend(mounted.id, extendToGb, signal)
    log.info({ volume: mounted.id, fromGb: mounted.sizeGb, toGb: extendToGb }, 'volume extended')
    this.#status = { ...this.#status, sizeGb: extendToGb }
    if (!needsRestart) return
    const warning = `Fly extended the volume ${mounted.id} to ${extendToGb} GB, but the machine sees it only after a restart. Restart it when no build runs.`
    this.#status = { ...this.#status, warning }
    log.warn({ volume: mounted.id }, warning)
  }
}
