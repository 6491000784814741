import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createGzip } from 'node:zlib'
import type { Request, RequestHandler } from 'express'
import { isFinal } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import { errorCode } from '#api/error-code.ts'
import { pageAfter } from '../../deployments/follow.ts'
import type { Commands } from '../../commands/commands.ts'
import { callerOf, cutWithRight } from '../auth.ts'
import type { ServerDeps } from '../deps.ts'
import { queryOf } from '../query.ts'
import { filterOf } from './filter.ts'
import { formats, rendered } from './formats.ts'

const stuckMs = 30_000
/** A download that takes longer is cut, so that it cannot keep the gateway awake for ever. */
const maxMs = 3_600_000

/**
 * `GET /v1/deployments/{id}/log`: the current log as a file, compressed if the caller accepts gzip. It is
 * text, or with `?format=ndjson` its events.
 */
export function downloadLog(
  { logOf }: Pick<Commands, 'logOf'>,
  { store }: Pick<ServerDeps, 'store'>,
): RequestHandler {
  return async (request, response) => {
    const deployment = await logOf(callerOf(request), String(request.params['id']))
    const { id, app, number } = deployment
    const filter = filterOf(request, { more: ['format'] })
    const type = typeOf(request)
    const form = formats[type]

    async function* parts() {
      yield form.start(deployment)
      for (let after = 0; ;) {
        const page = await pageAfter(store, id, after)
        if (page.length === 0) break
        yield rendered(page, type, deployment, filter)
        after = page.at(-1)!.seq
        await nextTurn() // a fast reader would block the event loop until the end of the log
      }
      if (isFinal(deployment.state)) yield form.end(deployment)
    }

    const gzip = request.acceptsEncodings('gzip') === 'gzip'
    response.set({
      'Content-Type': `${type}; charset=utf-8`,
      'Content-Disposition': `attachment; filename="${app}-${number}.${endings[type]}"`,
      'Cache-Control': 'no-store',
      Vary: 'Accept-Encoding',
      ...(gzip && { 'Content-Encoding': 'gzip' }),
    })

    response.setTimeout(stuckMs, () => response.destroy())
    cutWithRight(request, response)
    const late = setTimeout(() => response.destroy(), maxMs)
    response.once('close', () => clearTimeout(late))
    await pipeline([Readable.from(parts()), ...(gzip ? [createGzip()] : []), response]).catch(
      (error: unknown) => {
        if (errorCode(error) !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
      },
    )
  }
}

const endings = { 'text/plain': 'log', 'application/x-ndjson': 'ndjson' } as const

/** By the query, because a link cannot say what it accepts. */
function typeOf(request: Request): keyof typeof endings {
  const format = queryOf(request).get('format') ?? 'text'
  if (format === 'text') return 'text/plain'
  if (format === 'ndjson') return 'application/x-ndjson'
  throw new Problem('option-invalid', 'The option format is text or ndjson.', {
    facts: { option: 'format' },
  })
}
