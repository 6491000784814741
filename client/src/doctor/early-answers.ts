import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { type Found, ok, unknown, warning } from '#api/doctor/run-probes.ts'
import { routes } from '#api/routes.ts'
import type { Builder } from '../builder/find-builder.ts'

const withinMs = 3000

/**
 * Whether `100 Continue` comes through from the gateway: only then a refused upload costs no time.
 * The body that follows is refused, so this has no effect.
 */
export async function earlyAnswers(
  { gateway, token }: Builder,
  signal: AbortSignal,
): Promise<Found> {
  if (!gateway) return unknown('its address is not known here')
  const url = new URL(gateway.href.replace(/\/$/, '') + routes.doctor)
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'content-length': '2',
    expect: '100-continue',
  }
  const limited = AbortSignal.any([signal, AbortSignal.timeout(withinMs)])
  const first = await new Promise<string>((resolve) => {
    const call = send(url, { method: 'POST', headers, signal: limited })
    const end = (what: string) => {
      resolve(what)
      call.destroy()
    }
    call.once('continue', () => end('continue'))
    call.once('response', ({ statusCode }) => end(`status ${statusCode}`))
    call.on('error', ({ message }) => end(message)).flushHeaders()
  })
  signal.throwIfAborted()
  if (first === 'continue') return ok('100 Continue comes through: a refused upload ends at once')
  const detail = `100 Continue does not come through (${limited.aborted ? 'no answer' : first})`
  return warning(
    detail,
    'A proxy in between keeps it: uploads begin after a second, or are refused late.',
  )
}
