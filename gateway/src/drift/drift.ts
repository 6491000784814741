import type { AppDrift, DriftList } from '#api/drift/drift-list.ts'
import type { DriftFinding } from '#api/drift/finding.ts'
import type { DriftReport } from '#api/drift/report.ts'
import type { NewEvent } from '#api/event.ts'
import { asProblem } from '#api/problem.ts'
import { forEachLimit } from '#api/flow/for-each-limit.ts'
import type { DriftRow, DriftStore } from '../deployments/drift/drift-store.ts'
import type { Logger } from '../log.ts'
import { gather, type GatherDeps } from './gather.ts'
import { isSame, judge } from './judge.ts'
import { withOwnersApps } from './owners-apps.ts'

export type DriftDeps = Omit<GatherDeps, 'store' | 'log' | 'now'> & {
  store: GatherDeps['store'] & { drift: DriftStore }
  log: Pick<Logger, 'info' | 'warn'>
  now?: () => number
}

/**
 * How many certificates of an app are read in detail: while a caller waits, and once a day. Fly allows
 * one such read a second.
 */
const details = { asked: 20, daily: 300 }
/** The owners' apps of one report. */
const ownersAtOnce = 8
/** How many begins and ends one look writes into a log. */
const maxEvents = 20

/** Compares apps with what is expected of them, and keeps what the daily looks find. */
export class Drift {
  readonly #deps: DriftDeps & { now: () => number }

  constructor(deps: DriftDeps) {
    this.#deps = { now: Date.now, ...deps }
  }

  /** Looks now, also at the apps of the app's owners, and keeps nothing. Throws `app-not-found`. */
  async report(app: string, signal: AbortSignal): Promise<DriftReport> {
    const look = (each: string, many: number) =>
      this.#look(each, { details: many, accepting: false }, signal)
    const { report } = await look(app, details.asked)
    const others: DriftReport[] = []
    const own = this.#deps.store.ownerApps.list(app)
    await forEachLimit(own, ownersAtOnce, async ({ flyApp }) => {
      const found = await look(flyApp, 0).catch(noneIfGone)
      if (found) others.push(found.report)
    })
    return withOwnersApps(
      report,
      others.toSorted((a, b) => a.app.localeCompare(b.app, 'en')),
    )
  }

  /** From now on the addresses and hostnames that the app has are those that it should have. */
  async accept(app: string, signal: AbortSignal): Promise<DriftReport> {
    const look = await this.#look(app, { details: details.asked, accepting: true }, signal)
    await this.#save(look)
    return look.report
  }

  /** The daily look at an app. Returns how many findings it has now. */
  async lookDaily(app: string, signal: AbortSignal): Promise<number> {
    const look = await this.#look(app, { details: details.daily, accepting: false }, signal)
    await this.#save(look)
    return look.row.findings.length
  }

  /** Keeps why the daily look at an app failed. What it knew before stays. */
  async failed(app: string, problem: string): Promise<void> {
    const { store, now } = this.#deps
    const before = await store.drift.find(app)
    const nothing = { flyId: null, expected: null, findings: [] }
    await store.drift.save({ ...nothing, ...before, app, problem, lookedAt: timeOf(now()) }, [])
  }

  /** The apps with drift, or with a problem, at their last looks. */
  async list(): Promise<DriftList & { looked: number }> {
    const { drift } = this.#deps.store
    const [rows, pass] = [await drift.all(), await drift.pass()]
    const apps = rows.filter(({ findings, problem }) => findings.length > 0 || problem !== null)
    return { checkedAt: pass?.checkedAt ?? null, looked: rows.length, apps: apps.map(toAppDrift) }
  }

  /** What callers should know about an app, in words. */
  async warningsOf(app: string): Promise<string[]> {
    const row = await this.#deps.store.drift.find(app)
    return (row?.findings ?? []).map(
      ({ code, text, since, advice }) =>
        `Drift (${code}, since ${(since ?? '').slice(0, 10)}): ${text} ${advice}`,
    )
  }

  async #look(
    app: string,
    how: { details: number; accepting: boolean },
    signal: AbortSignal,
  ): Promise<Look> {
    const { store, now } = this.#deps
    const [row, gathered] = await Promise.all([
      store.drift.find(app),
      gather(app, this.#deps, how.details, signal),
    ])
    const nowMs = now()
    const { accepting } = how
    const { expected, findings } = judge(gathered, { row, accepting, nowMs })
    const at = timeOf(nowMs)
    const kept = findings.map((each) => ({ ...each, since: each.since ?? at }))
    return {
      before: row?.findings ?? [],
      report: { ...gathered.report, findings },
      row: {
        app,
        flyId: gathered.flyId,
        lookedAt: at,
        expected,
        findings: kept,
        problem: null,
      },
    }
  }

  async #save({ before, row }: Look): Promise<void> {
    const { store, log } = this.#deps
    const begun = row.findings.filter((each) => !before.some((other) => isSame(each, other)))
    const ended = before.filter((each) => !row.findings.some((other) => isSame(each, other)))
    await store.drift.save(row, eventsOf(begun, ended))
    for (const { code, subject, text } of begun)
      log.warn({ app: row.app, code, subject }, `drift begins: ${text}`)
    for (const { code, subject } of ended)
      log.info({ app: row.app, code, subject }, 'drift has ended')
  }
}

/** An owner's app that was deleted on Fly, or that its first deployment has not made yet. */
function noneIfGone(error: unknown): null {
  if (asProblem(error).code !== 'app-not-found') throw error
  return null
}

type Look = { before: DriftFinding[]; report: DriftReport; row: DriftRow }

const timeOf = (ms: number): string => new Date(ms).toISOString()

const toAppDrift = ({ app, lookedAt, findings, problem }: DriftRow): AppDrift => ({
  app,
  lookedAt,
  findings,
  problem,
})

function eventsOf(begun: DriftFinding[], ended: DriftFinding[]): NewEvent[] {
  const all = [
    ...begun.map(({ code, subject, text }): NewEvent => {
      return { type: 'drift', state: 'begun', code, subject, text: `drift begins: ${text}` }
    }),
    ...ended.map(({ code, subject }): NewEvent => {
      const text = `drift has ended: ${code} of ${subject}`
      return { type: 'drift', state: 'ended', code, subject, text }
    }),
  ]
  if (all.length <= maxEvents) return all
  const text = `${all.length - maxEvents} more begins and ends of drift: tarmac drift lists them.`
  return [...all.slice(0, maxEvents), { type: 'note', text }]
}
