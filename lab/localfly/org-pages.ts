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

const place = ({ updated_at, id }: Entry): string => `${updated_at} ${id}`

export const isOf = (state: FlyState, app: string, org: string): boolean =>
  state.apps.get(app)?.org_slug === org
