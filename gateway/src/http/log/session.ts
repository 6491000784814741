import { type Deployment, isFinal } from '#api/deployment.ts'
import type { GoAway } from '#api/event-stream.ts'
import type { Page } from '../../deployments/follow.ts'
import type { ServerDeps } from '../deps.ts'
import { type Reader, subscribe, type Subscription } from './broadcast.ts'

export type LogDeps = Pick<ServerDeps, 'awake' | 'stopping' | 'heartbeatMs' | 'log'> & {
  store: Pick<ServerDeps['store'], 'find' | 'eventsAfter' | 'changed'>
}
export const defaultHeartbeatMs = 15_000
/** A reader has to take a log within so many heartbeats (1 h) after the deployment has ended. */
const maxBeatsBehind = 240

/** The connection of a reader, and the format in which it gets the log. */
export interface LogSink {
  /** Sends a page. Returns a promise if the next page must wait for it. */
  send(page: Page): Promise<unknown> | null
  /** Keeps the connection alive. Called at every heartbeat, except when the reader is stuck. */
  keepAlive(): void
  /** Whether the reader took nothing since the last call. Called at every heartbeat. */
  isStuck(): boolean
  waitingBytes(): number
  /** Sends the end of the log, then closes. */
  end(deployment: Deployment): void
  /** Sends why the log stops here, then closes. */
  disconnect(message: GoAway): void
  /** Closes after an error of the gateway. */
  fail(): void
  /** Closes at once. */
  cut(): void
  /** Calls back once the connection is closed, by either side. */
  onClose(closed: () => void): void
}

/** Sends a deployment's log after event `after` until its end, as fast as the reader takes it. */
export function openSession(deps: LogDeps, reading: Reading, sink: LogSink): void {
  new LogSession(deps, reading, sink).begin()
}

/** `rightEnds` fires when the reader may read no longer. Null: never. */
type Reading = { id: string; after: number; rightEnds: AbortSignal | null }

/**
 * One reader of a log. There may be thousands, so it holds little, and creates a promise only when
 * the reader is slow.
 */
class LogSession implements Reader {
  seq: number
  readonly #deps: LogDeps
  readonly #id: string
  readonly #sink: LogSink
  readonly #rightEnds: AbortSignal | null
  #subscription: Subscription | null = null
  #hold: Disposable | null = null
  #heartbeat: NodeJS.Timeout | undefined
  #isOver = false
  #disconnected = false
  #beats = 0

  constructor(deps: LogDeps, { id, after, rightEnds }: Reading, sink: LogSink) {
    this.seq = after
    this.#deps = deps
    this.#id = id
    this.#sink = sink
    this.#rightEnds = rightEnds
  }

  begin(): void {
    const { store, awake, stopping, heartbeatMs = defaultHeartbeatMs } = this.#deps
    this.#hold = awake.hold('readers')
    this.#heartbeat = setInterval(beat, heartbeatMs, this)
    this.#subscription = subscribe(store, this.#id, this)
    endWith(stopping, this)
    if (this.#rightEnds) endWith(this.#rightEnds, this)
    this.#sink.onClose(() => this.#closed())
    if (stopping.aborted || this.#rightEnds?.aborted) this.stop()
  }

  /** The gateway begins to stop, or the reader may read no longer. */
  stop(): void {
    if (!this.#isOver)
      this.#disconnect(this.#rightEnds?.aborted ? unauthorizedMessage : stoppingMessage)
  }

  take(page: Page): Promise<unknown> | null {
    return this.#sink.send(page)
  }

  end(deployment: Deployment): void {
    this.#leave()
    this.#sink.end(deployment)
  }

  fail(error: unknown): void {
    this.#deps.log.error({ deploymentId: this.#id, err: error }, 'log reader failed')
    this.#leave()
    this.#sink.fail()
  }

  /**
   * A reader that took nothing since the last call is asked to reconnect, and is cut at the
   * next call.
   */
  beat(): void {
    const isStuck = this.#sink.isStuck()
    if (this.#isOver) {
      if (isStuck || this.#disconnected) this.#sink.cut()
    } else if (isStuck) {
      const waitingBytes = this.#sink.waitingBytes()
      this.#deps.log.warn({ deploymentId: this.#id, waitingBytes }, 'log reader takes nothing')
      this.#disconnect(tooSlowMessage)
    } else {
      this.#sink.keepAlive()
      if (++this.#beats % maxBeatsBehind === 0) void this.#limitCatchUp()
    }
  }

  /** A reader that takes a few bytes now and then must not keep the gateway awake for ever. */
  async #limitCatchUp(): Promise<void> {
    const deployment = await this.#deps.store.find(this.#id).catch(() => null)
    if (deployment && isFinal(deployment.state) && !this.#isOver) this.#disconnect(tooSlowMessage)
  }

  #leave(): void {
    this.#isOver = true
    this.#subscription?.remove(this)
    endings.get(this.#deps.stopping)?.delete(this)
    if (this.#rightEnds) endings.get(this.#rightEnds)?.delete(this)
  }

  #closed(): void {
    this.#leave()
    clearInterval(this.#heartbeat)
    this.#hold?.[Symbol.dispose]()
  }

  #disconnect(message: GoAway): void {
    this.#disconnected = true
    this.#leave()
    this.#sink.disconnect(message)
  }
}

const beat = (session: LogSession) => session.beat()

const endings = new WeakMap<AbortSignal, Set<LogSession>>()

/**
 * Stops a session when a signal fires. All sessions share one listener, because a signal compares
 * each new listener with all that it has.
 */
function endWith(signal: AbortSignal, session: LogSession): void {
  const known = endings.get(signal)
  if (known) return void known.add(session)
  const sessions = new Set([session])
  endings.set(signal, sessions)
  signal.addEventListener('abort', () => {
    for (const each of sessions) each.stop()
  })
}

const stoppingMessage: GoAway = {
  type: 'stopping',
  detail:
    'The gateway is stopping. The deployment continues after the restart. Reconnect in a moment.',
}

const unauthorizedMessage: GoAway = {
  type: 'unauthorized',
  detail:
    'The token of this reader was revoked, was replaced, or has expired. The deployment continues. Reconnect with a valid token.',
}

const tooSlowMessage: GoAway = {
  type: 'too-slow',
  detail: 'The reader was too slow. Reconnect with the number of the last event.',
}
