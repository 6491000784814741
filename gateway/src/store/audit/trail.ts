import { errorCode } from '#api/error-code.ts'
import type { AuditEntry, AuditFilter, AuditPage } from '#api/callers/audit.ts'
import type { TrailVerdict } from '#api/callers/audit-status.ts'
import type { AuditTrail, BegunCall, EndedCall } from '../../deployments/audit/audit-trail.ts'
import type { PageRequest } from '../../deployments/release-store.ts'
import type { Logger } from '../../log.ts'
import { isNoSpace } from '../../host/disk/retry-when-full.ts'
import { TimeSlice } from '../../time-slice.ts'
import { noRoom } from '../sqlite-errors.ts'
import type { StoreTools } from '../store-tools.ts'
import type { AuditRows } from './audit-rows.ts'
import type { Body, ChainKey, Head } from './chain.ts'
import { ChainCheck } from './chain-check.ts'
import { isOpen, shows, toEntry } from './filter.ts'
import { readHead, writeHead } from './head-file.ts'
import { beginSegment, endOpenCalls, prunedBody } from './segments.ts'

export type TrailDeps = {
  rows: AuditRows
  tools: StoreTools
  key: ChainKey
  /** The path of the file with the newest number and code. */
  headFile: string
  log: Pick<Logger, 'info' | 'error' | 'warn'>
}
type Waiting = {
  body: Body
  resolve: (entry: { number: number; at: string }) => void
  reject: (error: unknown) => void
}

const rowsAtOnce = 200
/** Rows that one page looks at, at most. */
const scanRows = 5000
const pruneAtOnce = 1000
const sliceMs = 10

/**
 * The audit trail in the store. Entries that come at the same time share one transaction and one
 * write of the head. The head is written after the commit and before anybody is answered: so a table
 * behind its head was cut, and a table before its head was left by a crash.
 */
export class Trail implements AuditTrail {
  readonly #deps: TrailDeps
  #head: Head | null
  /** Not on a disk that was full at the start: then the first entry tries again. */
  #isOpen = false
  #waiting: Waiting[] = []
  #writing: Promise<void> | null = null

  /** Begins a segment where there is no trail yet, after a restore, and where entries are missing. */
  static async open(deps: TrailDeps): Promise<Trail> {
    const trail = new Trail(deps)
    try {
      await trail.#open()
    } catch (error) {
      if (!isNoSpace(error)) throw error
      deps.log.warn('audit trail: the disk is full; until it is not, nothing can be changed')
    }
    return trail
  }

  private constructor(deps: TrailDeps) {
    this.#deps = deps
    this.#head = null
  }

  /** The newest entry that is synced. */
  get head(): Head | null {
    return this.#head
  }

  async began(call: BegunCall): Promise<{ number: number; at: string }> {
    const rest = { beganAt: null, before: null, after: null, result: 'running', made: null }
    return this.#add({ kind: 'began', ...call, ...rest })
  }

  async ended({ began, ...call }: EndedCall): Promise<void> {
    const opened = began?.number ?? null
    await this.#add({ kind: 'ended', ...call, opened, beganAt: began?.at ?? null })
  }

  async page(filter: AuditFilter, { limit, before, isSeen }: PageRequest): Promise<AuditPage> {
    const { rows } = this.#deps
    const open = new Set(rows.open().map(({ number }) => number))
    const slice = new TimeSlice(sliceMs)
    const entries: AuditEntry[] = []
    let at = before === null ? Number.MAX_SAFE_INTEGER : Number(before)
    if (filter.to !== undefined) at = Math.min(at, rows.numberAt(filter.to) + 1)

    for (let seen = 0; seen < scanRows; seen += rowsAtOnce) {
      await slice.yield()
      const some = rows.before(at, rowsAtOnce)
      for (const row of some) {
        if (filter.from !== undefined && row.at < filter.from) return { entries, next: null }
        at = row.number
        const entry = toEntry(row, (number) => open.has(number))
        if (!entry || !shows(filter, entry) || !isOpen(entry, isSeen)) continue
        entries.push(entry)
        if (entries.length === limit) return { entries, next: String(at) }
      }
      if (some.length < rowsAtOnce) return { entries, next: null }
    }
    return { entries, next: String(at) }
  }

  /** Removes entries of before `days` days, the oldest first. Returns how many. */
  async prune(days: number, signal: AbortSignal): Promise<number> {
    const { rows, tools, key } = this.#deps
    const slice = new TimeSlice(sliceMs)
    const before = tools.time(-days * 86_400_000)
    let removed = 0
    while (!signal.aborted) {
      await slice.yield()
      const first = rows.after(0, 1)[0]
      // The entry that says so is added with the removal, so that the trail is whole at any moment.
      const last = tools.transaction(() => {
        const newest = rows.removeOldest(before, pruneAtOnce)
        if (newest)
          rows.add(prunedBody({ number: newest.number, mac: newest.mac }), {
            key,
            at: tools.time(),
          })
        return newest
      })
      if (!first || !last) break
      removed += last.number - first.number + 1
    }
    if (removed > 0) await this.#exclusive(() => this.#writeHead())
    return removed
  }

  /** Checks all entries. Others work between its parts. */
  async verify(signal: AbortSignal): Promise<TrailVerdict> {
    const { rows, key, headFile } = this.#deps
    await this.#writing
    return checkRows(rows, new ChainCheck(key, readHead(headFile, key)), signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#writing) await this.#writing
  }

  #add(body: Body): Promise<{ number: number; at: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ number: number; at: string }>()
    this.#waiting.push({ body, resolve, reject })
    if (!this.#writing) this.#start()
    return promise
  }

  #start(): void {
    this.#writing = this.#writeWaiting().finally(() => {
      this.#writing = null
      if (this.#waiting.length > 0) this.#start()
    })
  }

  /** What comes while one batch is written is the next batch. */
  async #writeWaiting(): Promise<void> {
    await Promise.resolve() // calls of the same turn share a batch
    const batch = this.#waiting.splice(0)
    const { rows, tools, key } = this.#deps
    try {
      if (!this.#isOpen) await this.#open()
      const at = tools.time()
      const made = tools.transaction(() => batch.map(({ body }) => rows.add(body, { key, at })))
      await this.#writeHead()
      for (const [index, { resolve }] of batch.entries()) resolve(made[index]!)
    } catch (error) {
      const problem = errorCode(error) === 'ENOSPC' ? noRoom(error) : error
      for (const { reject } of batch) reject(problem)
    }
  }

  async #open(): Promise<void> {
    const { rows, tools, key, headFile, log } = this.#deps
    const found = readHead(headFile, key)
    tools.transaction(() => {
      beginSegment({ rows, key, at: tools.time() }, found, log)
      endOpenCalls({ rows, key, at: tools.time() })
    })
    await this.#writeHead()
    this.#isOpen = true
    log.info({ ...this.#head }, 'audit trail: newest entry')
  }

  async #exclusive(work: () => Promise<void>): Promise<void> {
    while (this.#writing) await this.#writing
    this.#writing = work().finally(() => {
      this.#writing = null
      if (this.#waiting.length > 0) this.#start()
    })
    await this.#writing
  }

  async #writeHead(): Promise<void> {
    const { rows, key, headFile } = this.#deps
    const last = rows.last()
    if (!last) return
    const head = { number: last.number, mac: last.mac }
    await writeHead(headFile, head, key)
    this.#head = head
  }
}

/** Checks the rows in parts. */
export async function checkRows(
  rows: Pick<AuditRows, 'after'>,
  check: ChainCheck,
  signal: AbortSignal,
): Promise<TrailVerdict> {
  const slice = new TimeSlice(sliceMs)
  for (let at = 0; !check.isBroken;) {
    signal.throwIfAborted()
    await slice.yield()
    const some = rows.after(at, rowsAtOnce)
    if (some.length === 0) break
    for (const row of some) check.add(row)
    at = some.at(-1)!.number
  }
  return check.end()
}
