import { type LogStore, pageAfter } from '../../../deployments/follow.ts'
import { TimeSlice } from '../../../time-slice.ts'
import { cutTo, type Group, type Hold, LogModel } from './log-model.ts'

const sliceMs = 5
/** A page without a script has so many lines at most: those of the failure, then the last ones. */
export const linesOnPage = 2000
const linesOfGroup = 1000

/** Which lines of a group the reader asks for: `?step=12&from=4001`. */
export type LogWindow = NonNullable<Hold['window']>

export function windowOf(query: URLSearchParams): LogWindow | null {
  const [group, from] = [query.get('step'), query.get('from')].map((text) =>
    /^[1-9]\d{0,8}$/.test(text ?? '') ? Number(text) : null,
  )
  return group ? { group, from: from ?? 1, to: (from ?? 1) + linesOnPage - 1 } : null
}

/**
 * Reads a whole log, but holds no more of it than a page shows. In slices: a log may have hundreds of
 * thousands of lines.
 */
export async function readLog(
  store: Pick<LogStore, 'eventsAfter'>,
  id: string,
  window: LogWindow | null,
): Promise<LogModel> {
  const model = new LogModel({ last: linesOfGroup, window })
  const slice = new TimeSlice(sliceMs)
  for (;;) {
    const page = await pageAfter(store, id, model.seq)
    if (page.length === 0) break
    for (const event of page) model.take(event)
    await slice.yield()
  }
  limit(model.groups, window)
  return model
}

/** The group that failed: a step, else the state in which the deployment failed. */
export const failedGroup = (groups: Group[]): Group | undefined =>
  groups.find(({ status, state }) => status === 'failed' && state === null) ??
  groups.find(({ status }) => status === 'failed')

/** Cuts groups to what a page shows: the window, the failure, then the newest. */
function limit(groups: Group[], window: LogWindow | null): void {
  const wanted = groups.find(({ number }) => number === window?.group)
  const order = [wanted, failedGroup(groups), ...groups.toReversed()]
  let left = linesOnPage
  for (const group of new Set(order.filter((each) => each !== undefined))) {
    cutTo(group, Math.min(group === wanted ? linesOnPage : linesOfGroup, left))
    left -= group.lines.length
  }
}
