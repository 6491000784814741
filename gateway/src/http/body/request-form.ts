import type { IncomingMessage } from 'node:http'
import { Problem } from '#api/problem.ts'

/** More than any program sends. Node's own limit drops the rest without an error. */
const maxHeaders = 100

/**
 * Looks at a request before anything else does. Its address becomes a path, also where it was given whole
 * (`GET http://gateway/path`). Throws for requests that two programs could read in two ways.
 */
export function checkForm(request: IncomingMessage): void {
  if (request.rawHeaders.length > 2 * maxHeaders)
    throw new Problem('request-invalid', `The request has more than ${maxHeaders} headers.`)
  const coding = request.headers['transfer-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    throw new Problem('request-invalid', 'The only Transfer-Encoding that is taken is chunked.')
  const { url = '' } = request
  if (url.startsWith('/') || url === '*') return
  const whole = URL.parse(url)
  if (!whole || !/^https?:$/.test(whole.protocol) || whole.username || whole.password)
    throw new Problem(
      'request-invalid',
      'The address of the request cannot be read; send its path.',
    )
  request.url = whole.pathname + whole.search
  request.headers.host = whole.host // counts more than the header (RFC 9112, 3.2.2)
}
