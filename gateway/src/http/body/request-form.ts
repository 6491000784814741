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
    throw new Problem(
      'request-invalid',
      `The request has more than ${maxHeaders} headers. Send fewer.`,
    )
  assertOneHost(request)
  const coding = request.headers['transfer-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'chunked')
    throw new Problem(
      'request-invalid',
      'The gateway accepts no Transfer-Encoding but chunked. Send the archive itself compressed.',
    )
  if (coding !== undefined && request.httpVersion !== '1.1')
    throw new Problem('request-invalid', 'HTTP/1.0 has no chunks. Send the body with its length.')
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

/** Throws unless the request names one host, in a form that no proxy can read in another way. */
export function assertOneHost({ headersDistinct, httpVersion }: IncomingMessage): void {
  const hosts = headersDistinct['host'] ?? []
  if (hosts.length > 1)
    throw new Problem('request-invalid', 'The request names two hosts; send one Host header.')
  const [host] = hosts
  if (host === undefined ? httpVersion !== '1.0' : !/^[\w.~%:[\]-]*$/.test(host))
    throw new Problem(
      'request-invalid',
      host === undefined
        ? 'The request names no host. Send a Host header.'
        : 'The Host header of the request names no host. Send a name or an address, with a port or none.',
    )
}
