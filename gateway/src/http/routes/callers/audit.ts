import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RequestHandler } from 'express'
import type { AuditFilter } from '#api/callers/audit.ts'
import { errorCode } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { visibleJson } from '#api/text/visible-text.ts'
import type { Commands } from '../../../commands/commands.ts'
import { callerOf } from '../../auth.ts'
import { knownQuery, pageQuery } from '../../query.ts'

const stuckMs = 30_000
const pageEntries = 100
const ndjson = 'application/x-ndjson'
const names = ['from', 'to', 'caller', 'command', 'app', 'result'] as const

/**
 * `GET /v1/audit?from=&to=&caller=&command=&app=&result=&limit=&cursor=`: a page, newest first. With
 * `Accept: application/x-ndjson`: all entries from the cursor on, one on each line.
 */
export function listAudit({ audit }: Pick<Commands, 'audit'>): RequestHandler {
  return async (request, response) => {
    const query = knownQuery(request, ...names, 'limit', 'cursor')
    const page = pageQuery(query)
    const filter = readAuditFilter(query)
    const caller = callerOf(request)
    response.set({ Vary: 'Accept', 'Cache-Control': 'no-store' })
    if (request.accepts(['application/json', ndjson]) !== ndjson) {
      response.json(await audit.list(caller, filter, page))
      return
    }

    const first = await audit.list(caller, filter, { ...page, limit: pageEntries })
    async function* lines() {
      for (let { entries, next } = first; ;) {
        yield entries.map((entry) => `${visibleJson(entry)}\n`).join('')
        if (next === null) return
        await nextTurn()
        ;({ entries, next } = await audit.list(caller, filter, {
          limit: pageEntries,
          before: next,
        }))
      }
    }
    response.setTimeout(stuckMs, () => response.destroy())
    response.set('Content-Type', ndjson)
    await pipeline(Readable.from(lines()), response).catch((error: unknown) => {
      if (errorCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
    })
  }
}

/** Throws `option-invalid`. */
export function readAuditFilter(query: URLSearchParams): AuditFilter {
  const filter: AuditFilter = {}
  for (const name of names) {
    const value = query.get(name)
    if (value === null || value === '') continue
    if (value.length > 300)
      throw new Problem('option-invalid', `The option ${name} has at most 300 characters.`)
    filter[name] = name === 'from' || name === 'to' ? readTime(name, value) : value
  }
  return filter
}

/** A day is its first moment, or its last one for `to`. */
function readTime(name: 'from' | 'to', value: string): string {
  const isDay = /^\d{4}-\d\d-\d\d$/.test(value)
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/.test(
    value,
  )
  const text = isDay ? `${value}T${name === 'from' ? '00:00:00.000Z' : '23:59:59.999Z'}` : value
  const at = new Date(isDay || isTime ? text : Number.NaN)
  if (!Number.isNaN(at.getTime())) return at.toISOString()
  throw new Problem(
    'option-invalid',
    `The option ${name} is invalid: expected a time as 2026-05-04T12:00:00Z, or a day as 2026-05-04.`,
  )
}
