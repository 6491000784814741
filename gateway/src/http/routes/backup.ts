import { pipeline } from 'node:stream/promises'
import type { RequestHandler } from 'express'
import { errorCode } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf, cutWithRight } from '../auth.ts'
import { RequestBody } from '../body/request-body.ts'
import { askForBody, refuseEncoded } from '../body/small-body.ts'
import { booleanQuery, knownQuery, queryOf } from '../query.ts'
import type { ServerDeps } from '../deps.ts'

const stuckMs = 30_000

/**
 * `GET /v1/backup`: the records as one SQLite file, as they were at one moment. `Repr-Digest` (RFC
 * 9530) is its SHA-256.
 */
export function sendBackup({ records }: Pick<Commands, 'records'>): RequestHandler {
  return async (request, response) => {
    knownQuery(request)
    await using copy = await records.backup(callerOf(request))
    const name = `tarmac-${new Date().toISOString().slice(0, 19).replaceAll(':', '-')}.db`
    response.set({
      'Content-Type': 'application/vnd.sqlite3',
      'Content-Length': String(copy.bytes),
      'Content-Disposition': `attachment; filename="${name}"`,
      'Repr-Digest': `sha-256=:${copy.sha256}:`,
      'Cache-Control': 'no-store',
    })
    response.setTimeout(stuckMs, () => response.destroy())
    cutWithRight(request, response)
    await pipeline(copy.read(), response).catch((error: unknown) => {
      if (errorCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
    })
  }
}

/**
 * `PUT /v1/backup`: checks the file in the body, then restarts the gateway with it as its records.
 * The gateway must be drained.
 */
export function receiveBackup(
  { records }: Pick<Commands, 'records'>,
  { stopping }: Pick<ServerDeps, 'stopping'>,
): RequestHandler {
  return async (request, response) => {
    if (stopping.aborted) throw new Problem('stopping', 'The gateway is stopping.')
    const query = queryOf(request)
    const unknown = [...query.keys()].find((name) => name !== 'over-newer')
    if (unknown !== undefined)
      throw new Problem(
        'option-unknown',
        `This call knows over-newer, not ${unknown.slice(0, 100)}.`,
      )
    refuseEncoded(request)
    const bytes = Number(request.headers['content-length'])
    if (!(bytes > 0))
      throw new Problem('request-invalid', 'Send the backup as the body, with its Content-Length.')

    const digest = /^sha-256=:([A-Za-z\d+/]{43}=):$/.exec(request.get('repr-digest') ?? '')?.[1]
    const incoming = { bytes, sha256: digest ?? null, overNewer: booleanQuery(query, 'over-newer') }
    await records.assertDrained(callerOf(request))
    askForBody(request, response)
    const body = new RequestBody(request)
    response.json(await records.restore(callerOf(request), { body, ...incoming }))
  }
}
