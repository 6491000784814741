import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AuditStatus } from '#api/callers/audit-status.ts'
import type { Logger } from '../../log.ts'
import type { Trail } from './trail.ts'

type WatchDeps = {
  trail: Pick<Trail, 'head' | 'prune' | 'verify'>
  /** Where the result of the last check is kept: the volume. */
  dir: string
  log: Pick<Logger, 'info' | 'error'>
  now?: () => number
}

const dayMs = 24 * 3_600_000

/** Keeps the audit trail: removes what is too old, and checks it each day. */
export class TrailWatch {
  readonly #deps: WatchDeps
  #last: Pick<AuditStatus, 'checkedAt' | 'verdict'>

  static async open(deps: WatchDeps): Promise<TrailWatch> {
    return new TrailWatch(deps, lastIn(await readFile(fileIn(deps.dir), 'utf8').catch(() => '')))
  }

  private constructor(deps: WatchDeps, last: Pick<AuditStatus, 'checkedAt' | 'verdict'>) {
    this.#deps = deps
    this.#last = last
  }

  get status(): AuditStatus {
    return { head: this.#deps.trail.head, ...this.#last }
  }

  /** Removes entries of before `keepDays` days. Checks the rest, if the last check is a day old. */
  async look(keepDays: number, signal: AbortSignal): Promise<void> {
    const { trail, log, now = Date.now } = this.#deps
    const removed = await trail.prune(keepDays, signal)
    if (removed > 0) log.info({ removed }, 'old entries of the audit trail removed')

    const { checkedAt } = this.#last
    if (signal.aborted || (checkedAt !== null && Date.parse(checkedAt) + dayMs > now())) return
    const verdict = await trail.verify(signal)
    this.#last = { checkedAt: new Date(now()).toISOString(), verdict }
    const { state, detail, entries } = verdict
    if (state === 'whole') log.info({ entries }, 'audit trail checked: it is whole')
    else log.error({ state, detail }, 'audit trail checked: it is not whole')
    await this.#save()
  }

  async #save(): Promise<void> {
    const path = fileIn(this.#deps.dir)
    await writeFile(`${path}.new`, JSON.stringify(this.#last), { mode: 0o600 })
    await rename(`${path}.new`, path)
  }
}

const fileIn = (dir: string) => join(dir, 'audit-check.json')

/** Without a file, or with a damaged one, nothing was checked yet. */
function lastIn(text: string): Pick<AuditStatus, 'checkedAt' | 'verdict'> {
  try {
    return AuditStatus.omit({ head: true }).parse(JSON.parse(text))
  } catch {
    return { checkedAt: null, verdict: null }
  }
}
