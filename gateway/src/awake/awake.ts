import type { AwakeStatus } from '#api/status/awake.ts'

/** What keeps the gateway awake. Every one of them ends by itself; docs/operate.md has the limits. */
const names = [
  /** In any state that is not an end state. */
  'deployments',
  'rollouts',
  /** That have not ended: nothing else ends them in time. */
  'previews',
  'uploads',
  /** Requests with a token, until the end of their answers. */
  'requests',
  /** Of a log: SSE, WebSocket, NDJSON and text. */
  'readers',
  /** Releases that were made a moment ago: they are registered with Fly and watched for crashes. */
  'releases',
  'sweeps',
  /** The daily check of the images of kept releases. */
  'images',
  /** The daily look for drift. */
  'drift looks',
] as const
export type HoldName = (typeof names)[number]

/** These only delay the stop. The others also begin the idle time again when they end. */
const delays: ReadonlySet<HoldName> = new Set<HoldName>([
  'releases',
  'sweeps',
  'images',
  'drift looks',
])

/** Only what there is. */
type Counts = Partial<Record<HoldName, number>>
/** `isCurrent`: nothing has begun or ended since the look. */
export type AwakeLook = {
  counts: Counts
  idleMs: number
  isCurrent(): boolean
}

/** Where each part of the gateway registers what keeps it awake. */
export class Awake {
  readonly #held = new Map<HoldName, number>()
  readonly #counters = new Map<HoldName, () => number | Promise<number>>()
  readonly #now: () => number
  /** When an activity was seen last. */
  #activeAt: number
  #changes = 0
  /** Null: the gateway does not stop when it is idle. */
  idleStopMs: number | null = null

  /** `now`: milliseconds of a clock that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
    this.#activeAt = now()
  }

  /** Keeps the gateway awake until the result is disposed. Disposing it twice does nothing. */
  hold(name: HoldName): Disposable {
    this.#change(name, 1)
    let held = true
    return {
      [Symbol.dispose]: () => {
        if (held) this.#change(name, -1)
        held = false
      },
    }
  }

  async during<T>(name: HoldName, work: () => Promise<T>): Promise<T> {
    using _hold = this.hold(name)
    return await work()
  }

  /** Returns a function that keeps the gateway awake for so long after its last call. */
  extendable(name: HoldName, ms: number): () => void {
    let until = this.#now()
    this.count(name, () => (this.#now() < until ? 1 : 0))
    return () => {
      this.#changes++
      until = this.#now() + ms
    }
  }

  /** Asks for a number at each look, instead of a call for each begin and end. */
  count(name: HoldName, counter: () => number | Promise<number>): void {
    this.#counters.set(name, counter)
  }

  /** Counts everything. What is found active begins the idle time again. */
  async look(): Promise<AwakeLook> {
    const changes = this.#changes
    const counts = await this.#counts()
    if (isActive(counts)) this.#activeAt = this.#now()
    const idleMs = this.#now() - this.#activeAt
    return { counts, idleMs, isCurrent: () => this.#changes === changes }
  }

  /** For `GET /v1/status`. */
  async status(): Promise<AwakeStatus> {
    const { counts, idleMs } = await this.look()
    return {
      holds: Object.entries(counts).map(([name, count]) => ({ name, count })),
      idleSince: isActive(counts) ? null : new Date(Date.now() - idleMs).toISOString(),
      idleStopSeconds: this.idleStopMs === null ? null : this.idleStopMs / 1000,
    }
  }

  async #counts(): Promise<Counts> {
    const counts: Counts = {}
    for (const name of names) {
      const counted = (await this.#counters.get(name)?.()) ?? 0
      const count = (this.#held.get(name) ?? 0) + counted
      if (count > 0) counts[name] = count
    }
    return counts
  }

  #change(name: HoldName, by: 1 | -1): void {
    this.#changes++
    this.#held.set(name, (this.#held.get(name) ?? 0) + by)
    if (!delays.has(name)) this.#activeAt = this.#now()
  }
}

const isActive = (counts: Counts): boolean =>
  names.some((name) => counts[name] !== undefined && !delays.has(name))
