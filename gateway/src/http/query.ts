import type { IncomingMessage } from 'node:http'
import { Problem } from '#api/problem.ts'
import type { PageRequest } from '../deployments/release-store.ts'

export const queryOf = ({ url = '' }: Pick<IncomingMessage, 'url'>) =>
  new URL(url, 'http://gateway').searchParams

/** The query of a call that accepts only these names and no body. Throws for anything else. */
export function knownQuery(
  request: Pick<IncomingMessage, 'url' | 'headers'>,
  ...known: string[]
): URLSearchParams {
  const query = knownNames(queryOf(request), ...known)
  refuseBody(request)
  return query
}

/** The same query. Throws if it has other names. */
export function knownNames(query: URLSearchParams, ...known: string[]): URLSearchParams {
  const unknown = [...query.keys()].find((name) => !known.includes(name))
  const knows = known.length > 0 ? `knows ${known.join(', ')}` : 'has no options'
  if (unknown !== undefined)
    throw new Problem('option-unknown', `This call ${knows}, not ${unknown.slice(0, 100)}.`, {
      facts: { known },
    })
  return query
}

export function refuseBody({ headers }: Pick<IncomingMessage, 'headers'>): void {
  if (Number(headers['content-length'] ?? 0) > 0)
    throw new Problem('request-invalid', 'This call has no body. Send options in the query.')
}

export function booleanQuery(query: URLSearchParams, name: string): boolean {
  const value = query.get(name) ?? 'false'
  if (value !== 'true' && value !== 'false') throw unexpected(name, 'true or false')
  return value === 'true'
}

export function wholeNumber(name: string, value: string): number {
  if (!/^\d{1,15}$/.test(value)) throw unexpected(name, 'a whole number')
  return Number(value)
}

/** Reads which page of a list is requested. `cursor`: the pattern of a cursor. */
export function pageQuery(query: URLSearchParams, cursor = /^\d{1,15}$/): PageRequest {
  const before = query.get('cursor')
  if (before !== null && !cursor.test(before))
    throw unexpected('cursor', 'the `next` of the page before')
  const limit = wholeNumber('limit', query.get('limit') ?? '20')
  if (limit < 1 || limit > 100) throw unexpected('limit', 'a number from 1 to 100')
  return { limit, before }
}

const unexpected = (name: string, what: string) =>
  new Problem('option-invalid', `The option ${name} is invalid: expected ${what}.`, {
    facts: { option: name },
  })
