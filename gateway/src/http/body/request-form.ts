import type { IncomingMessage } from 'node:http'
import { Problem } from '#api/problem.ts'

/** More than any program sends. Node's own limit would silently drop the rest. */
const maxHeaders = 100

/**
 * Checks a request before any other code. Replaces an absolute URL (`GET http://gateway/path`) by
 * its path. Throws for a request that two programs could read differently.
 */
export function checkForm(request: IncomingMessage): void {
  if (request.rawHeaders.length > 2 * maxHeaders)
    throw new Problem('request-invalid', `The request has more than ${maxHeaders} headers.`)
  const coding = request.headers['transfer-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    throw new Problem('request-invalid', 'The gateway accepts no Transfer-Encoding but chunked.')
  const { url = '' } = request
  if (url.startsWith('/') || url === '*') return
  const whole = URL.parse(url)
  if (!whole || !/^https?:$/.test(whole.protocol) || whole.username || whole.password)
    throw new Problem(
      'request-invalid',
      'The address of the request cannot be read; send its path.',
    )
  request.url = whole.pathname + whole.search
  request.headers.host = whole.host // takes precedence over the header (RFC 9112, 3.2.2)
}
