import { expect, test, vi } from 'vitest'
import { isLoopbackHost } from '../../../gateway/src/http/loopback-host.ts'
import { startHttp, token } from './start-http.ts'

vi.setConfig({ testTimeout: 30_000 }) // some tests wait, and machines may be busy

const mine = [
  '127.0.0.1',
  '127.9.8.7:80',
  'localhost',
  'LOCALHOST:8080',
  'localhost.:1',
  'a.b.localhost',
  '[::1]',
  '[::1]:8080',
]
const others = [
  'evil.example',
  'evil.example:8080',
  'localhost.evil.example',
  'evil-localhost',
  '127.0.0.1.evil.example',
  '127.0.0.1.',
  '127.1',
  '2130706433',
  '0.0.0.0',
  '10.0.0.1',
  '[::]',
  '[fdaa::1]',
  'me@localhost',
  'localhost@evil.example',
  'localhost:80:80',
  'localhost/',
  ' ',
  '',
]

test('only loopback names count as loopback', () => {
  for (const host of mine) expect([host, isLoopbackHost(host)]).toEqual([host, true])
  for (const host of [...others, undefined])
    expect([host, isLoopbackHost(host)]).toEqual([host, false])
})

const paths = ['/v1/apps/shop/deployments', '/v1/deployments/x/events', '/nowhere', '/deploy/shop']
const socket =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'
const close = 'Connection: close\r\n'

test('without tokens a page whose name points at loopback is refused on every address, and told how tokens are set', async () => {
  await using http = await startHttp({ authenticate: null })
  const refused = async (request: string) => {
    const answer = await http.raw(request)
    expect([request, answer]).toEqual([
      request,
      // What is no name of a host is refused before that, with and without tokens.
      expect.stringMatching(
        /^HTTP\/1\.1 (403 [^]*host-forbidden[^]*TARMAC_TOKENS|400 [^]*Host header of the request)/,
      ),
    ])
  }
  const all = paths.flatMap((path) =>
    (path.endsWith('/events') ? [close, socket] : [close]).flatMap((more) =>
      others
        .filter((host) => host.trim())
        .map((host) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`),
    ),
  )
  await Promise.all(all.map(refused))
  await refused(
    `GET http://evil.example/v1/apps/shop/deployments HTTP/1.1\r\nHost: localhost\r\n${close}\r\n`,
  )
  await refused(
    `GET http://localhost/v1/apps/shop/deployments HTTP/1.1\r\nHost: evil.example\r\n${close}\r\n`,
  )
  await refused('GET /v1/apps/shop/deployments HTTP/1.0\r\n\r\n')
  await refused('GET /v1/apps/shop/deployments HTTP/1.0\r\nOrigin: null\r\n\r\n')
  await refused(
    `PUT /deploy/shop HTTP/1.1\r\nHost: evil.example\r\n${close}Content-Length: 3\r\n\r\ntar`,
  )
  const ready = await http.raw(`GET /readyz HTTP/1.1\r\nHost: evil.example\r\n${close}\r\n`)
  expect(ready).toMatch(/200 OK[^]*\{"ready":true\}$/)
  expect(await http.raw(`GET /readyz HTTP/1.1\r\nHost: localhost\r\n${close}\r\n`)).toContain(
    '"parts"',
  )

  for (const host of mine)
    expect(
      await http.raw(`GET /v1/apps/shop/deployments HTTP/1.1\r\nHost: ${host}\r\n${close}\r\n`),
    ).toContain('200 OK')
  expect(
    await http.raw(
      `GET http://localhost/v1/apps/shop/deployments HTTP/1.1\r\nHost: localhost\r\n${close}\r\n`,
    ),
  ).toContain('200 OK')
  expect(http.received).toEqual([])
})

test('with tokens any host is served, and an absolute request address is read as its path', async () => {
  await using http = await startHttp()
  const more = `Authorization: Bearer ${token}\r\n${close}\r\n`
  expect(
    await http.raw(`GET /v1/apps/shop/deployments HTTP/1.1\r\nHost: builder.flycast\r\n${more}`),
  ).toContain('200 OK')

  const { id } = await http.create()
  for (const path of [
    '/v1/apps/shop/deployments',
    `/v1/deployments/${id}`,
    `/v1/deployments/${id}/events?onyl=x`,
  ])
    expect(
      await http.raw(
        `GET http://builder.flycast${path} HTTP/1.1\r\nHost: builder.flycast\r\n${more}`,
      ),
    ).toMatch(/200 OK|"option-unknown"/)
  expect(
    await http.raw(`GET http://a:b@builder/healthz HTTP/1.1\r\nHost: builder\r\n${more}`),
  ).toContain('"request-invalid"')
})
