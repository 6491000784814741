import { FlyError } from './fly-error.ts'
import type { FlyState } from './state.ts'

type Entry = { id: string; updated_at: string }

const most = 1000

/**
 * A page of an organisation's list, oldest change first, by `updated_after`, `cursor` and `limit`.
 */
export function pageOf<T extends Entry>(all: T[], query: URLSearchParams) {
  const after = Date.parse(query.get('updated_after') ?? '1970-01-01T00:00:00Z')
  const limit = Math.min(Number(query.get('limit') ?? most), most)
  const cursor = query.get('cursor')
  if (Number.isNaN(after) || !(limit >= 1))
    throw new FlyError(400, 'invalid_argument: updated_after or limit')
  const isLeft = (entry: Entry) =>
    cursor ? place(entry) > cursor : Date.parse(entry.updated_at) > after
  const left = all.filter(isLeft).toSorted((a, b) => (place(a) < place(b) ? -1 : 1))
  const page = left.slice(0, limit)
  const last = page.at(-1)
  const more = last && left.length > page.length ? { next_cursor: place(last) } : {}
  return { page, last: last?.id, ...(last && { last_updated_at: last.updated_at }), ...more }
}

/** The organisation of the lab's token, for calls that need one and name none. */
export const org_slug = 'personal'

/** Apps of this organisation have their names, and no token of the lab reaches them. */
export const foreignOrg = 'elsewhere'

/**
 * Refuses an organisation beyond the token, as Fly refuses a list of its apps (fly.md 2.2). What Fly
 * says to a list of machines is not known. An organisation exists when an app is in it.
 */
export function expectOrg(state: FlyState, org: string): void {
  const isKnown = org === org_slug || [...state.apps.values()].some((app) => app.org_slug === org)
  if (!isKnown || org === foreignOrg) throw new FlyError(403, 'unauthorized')
}

const place = ({ updated_at, id }: Entry): string => `${updated_at} ${id}`

export const isOf = (state: FlyState, app: string, org: string): boolean =>
  state.apps.get(app)?.org_slug === org
