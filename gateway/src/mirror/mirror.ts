import type { MirrorProbe, MirrorStatus } from '#api/status/mirror.ts'
import type { Logger } from '../log.ts'
import type { Registry } from '../registry/registry.ts'
import type { ForwardLimits, MirrorAddress } from './forward.ts'
import type { MirrorOutcome, MirrorPush } from './mirror-push.ts'
import { awaitCopy, probeMirror } from './probe.ts'
import { PushProxy } from './push-proxy.ts'

export type MirrorSettings = {
  mirror: MirrorAddress
  /** The port of the proxy on loopback. 0: a free one. */
  port: number
  limits: ForwardLimits
  /** The repository for test images. Null: no test image is pushed. */
  app: string | null
  /** The machine of Fly that the gateway runs in. */
  machine: string | null
  /** How long the registry may take to get a copy of an image. */
  copyMs: number
  /** After so many failed pushes in a row the mirror is not used for `pauseMs`. */
  maxFailures: number
  pauseMs: number
  /** The first pause after a failed probe. Each further one doubles it, up to an hour. */
  probeMs: number
}
type MirrorDeps = { registry: Pick<Registry, 'find'>; log: Logger }

const maxProbeMs = 3_600_000
const notProbed = 'The first test of the mirror has not ended yet.'

/** Where a push goes. `reason`: why not through the mirror; null: no mirror is set up. */
export type PushPath = { push: MirrorPush } | { push: null; reason: string | null }

/** The way of images through the mirror: whether it is used, and what came of it. */
export interface Mirror {
  /** Opens a push through the mirror, or says why the push goes straight to the registry. */
  begin(app: string): PushPath
  /** Milliseconds until the registry had the image. Null: it did not come within `copyMs`. */
  awaitCopy(app: string, digest: string, signal: AbortSignal): Promise<number | null>
  readonly copyMs: number
  status(): MirrorStatus
}

const noBreaker = { failures: 0, limit: 0 }

/** No mirror. `why`: a sentence. */
export function noMirror(why: string): Mirror {
  let registry = 0
  return {
    begin: () => {
      registry++
      return { push: null, reason: null }
    },
    awaitCopy: () => Promise.resolve(null),
    copyMs: 0,
    status: () => ({
      state: 'off',
      detail: why,
      url: null,
      lastProbe: null,
      nextProbeAt: null,
      pushes: { mirror: 0, fallback: 0, registry },
      breaker: noBreaker,
    }),
  }
}

/**
 * A mirror that is used while it works. It is `down` until a probe passes. A failed push is followed
 * by a probe, and several in a row by a pause and a probe.
 */
export class OpenMirror implements Mirror {
  readonly #settings: MirrorSettings
  readonly #deps: MirrorDeps
  readonly #proxy: PushProxy
  readonly #closing = new AbortController()
  readonly #pushes = { mirror: 0, fallback: 0, registry: 0 }
  #state: 'up' | 'down' = 'down'
  #detail = notProbed
  #failures = 0
  #lastProbe: MirrorProbe | null = null
  #failedProbes = 0
  #probing: Promise<void> | null = null
  #next: { at: number; timer: NodeJS.Timeout } | null = null

  private constructor(settings: MirrorSettings, deps: MirrorDeps, proxy: PushProxy) {
    this.#settings = settings
    this.#deps = deps
    this.#proxy = proxy
  }

  /** Starts the proxy and the first probe. Does not wait for the probe. */
  static async open(settings: MirrorSettings, deps: MirrorDeps): Promise<OpenMirror> {
    const mirror = new OpenMirror(settings, deps, await PushProxy.open(settings))
    void mirror.probe()
    return mirror
  }

  /** The proxy's port, which build steps must not reach. */
  get port(): number {
    return this.#proxy.port
  }

  get copyMs(): number {
    return this.#settings.copyMs
  }

  begin(app: string): PushPath {
    if (this.#state === 'up')
      return { push: this.#proxy.begin(app, (outcome, why) => this.#ended(outcome, why)) }
    this.#pushes.registry++
    return { push: null, reason: `The mirror is not used now. ${this.#detail}` }
  }

  awaitCopy(app: string, digest: string, signal: AbortSignal): Promise<number | null> {
    const { registry } = this.#deps
    return awaitCopy({ registry, copyMs: this.copyMs }, app, digest, signal)
  }

  status(): MirrorStatus {
    return {
      state: this.#state,
      detail: this.#detail,
      url: this.#settings.mirror.origin,
      lastProbe: this.#lastProbe,
      nextProbeAt: this.#next && new Date(this.#next.at).toISOString(),
      pushes: { ...this.#pushes },
      breaker: { failures: this.#failures, limit: this.#settings.maxFailures },
    }
  }

  /** Tests the mirror now. A test that runs already counts. */
  probe(): Promise<void> {
    this.#probing ??= this.#probe().finally(() => (this.#probing = null))
    return this.#probing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    clearTimeout(this.#next?.timer)
    await this.#probing
    await this.#proxy[Symbol.asyncDispose]()
  }

  async #probe(): Promise<void> {
    clearTimeout(this.#next?.timer)
    this.#next = null
    const { mirror, app, copyMs, probeMs } = this.#settings
    const { registry, log } = this.#deps
    const begin = app === null ? null : () => this.#proxy.begin(app, () => {})
    const { signal } = this.#closing
    const probed = await probeMirror({ mirror, registry, begin, copyMs }, signal).catch(() => null)
    if (probed === null) return // the gateway stops

    this.#lastProbe = probed
    if (probed.ok && this.#next) return // failed pushes have opened the breaker meanwhile
    this.#detail = probed.detail
    if (probed.ok) {
      if (this.#state === 'down') log.info({ mirror: probed }, 'pushes go through the mirror')
      this.#state = 'up'
      this.#failedProbes = 0
      return
    }
    log.warn({ mirror: probed }, 'the push mirror is not used')
    this.#turnOff(Math.min(probeMs * 2 ** this.#failedProbes++, maxProbeMs))
  }

  #ended(outcome: MirrorOutcome, why = ''): void {
    if (outcome === 'stopped') return
    this.#pushes[outcome === 'pushed' ? 'mirror' : 'fallback']++
    if (outcome === 'pushed') {
      this.#failures = 0
      return
    }
    this.#failures++
    this.#deps.log.warn({ why, failures: this.#failures }, 'a push through the mirror failed')
    if (this.#failures < this.#settings.maxFailures) return void this.probe()
    this.#failures = 0
    this.#detail = `${this.#settings.maxFailures} pushes in a row failed; at last, the mirror ${why}.`
    this.#turnOff(this.#settings.pauseMs)
  }

  #turnOff(pauseMs: number): void {
    this.#state = 'down'
    clearTimeout(this.#next?.timer)
    const timer = setTimeout(() => void this.probe(), pauseMs)
    timer.unref() // the gateway may stop meanwhile
    this.#next = { at: Date.now() + pauseMs, timer }
  }
}
