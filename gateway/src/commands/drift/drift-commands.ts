import type { DriftList } from '#api/drift/drift-list.ts'
import type { DriftReport } from '#api/drift/report.ts'
import type { Principal } from '../../callers/principal.ts'
import type { Drift } from '../../drift/drift.ts'

/** Commands about what Fly has of an app beside, or instead of, what Tarmac expects. */
export type DriftCommands = {
  /** Looks now. */
  report(caller: Principal, app: string): Promise<DriftReport>
  /** What the daily looks found. */
  list(caller: Principal): Promise<DriftList>
  /** From now on the addresses and hostnames that the app has are expected of it. */
  accept(caller: Principal, app: string): Promise<DriftReport>
}

/** For calls to Fly while a caller waits. */
const callTimeoutMs = 60_000
const deadline = () => AbortSignal.timeout(callTimeoutMs)

export const driftCommands = (drift: Pick<Drift, 'report' | 'list' | 'accept'>): DriftCommands => ({
  report: (_caller, app) => drift.report(app, deadline()),
  list: () => drift.list(),
  accept: (_caller, app) => drift.accept(app, deadline()),
})
