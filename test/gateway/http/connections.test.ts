import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { startHttp, token } from './start-http.ts'

vi.setConfig({ testTimeout: 30_000 }) // some tests wait, and machines may be busy

type Http = Awaited<ReturnType<typeof startHttp>>
const bearer = `Host: x\r\nAuthorization: Bearer ${token}\r\n`
const open = (http: Http) => connect(http.port, '127.0.0.1').on('error', () => {})
const closes = (line: Socket) =>
  new Promise<void>((resolve) => (line.closed ? resolve() : line.once('close', () => resolve())))

test('a body that goes on behind an answer does not hold its connection', async () => {
  await using http = await startHttp({}, { drainMs: 200 })
  const { id } = await http.create()
  for (const head of [
    'GET /healthz HTTP/1.1\r\nHost: x',
    `GET /v1/deployments/${id} HTTP/1.1\r\n${bearer.trim()}`,
    'PUT /deploy/shop HTTP/1.1\r\nHost: x',
  ]) {
    const line = open(http)
    line.write(`${head}\r\nContent-Length: 1000000\r\n\r\n`)
    line.resume()
    const dripping = setInterval(() => line.writable && line.write('a'), 20)
    await closes(line)
    clearInterval(dripping)
  }
})

test('a caller that does not read its answer is cut', async () => {
  await using http = await startHttp({}, { answerMs: 300 })
  const options = DeploymentOptions.parse({ env: { A: 'x'.repeat(120_000) } })
  for (let n = 0; n < 100; n++)
    await http.store.create({
      id: `d${n}`,
      app: 'shop',
      options,
      source: { digest: 'sha256:aa', files: 1, sizeBytes: 2 },
      idempotencyKey: null,
    })
  const line = open(http).pause()
  // Several requests: one page of a list fits into the kernel's buffers.
  line.write(`GET /v1/apps/shop/deployments?limit=100 HTTP/1.1\r\n${bearer}\r\n`.repeat(10))
  await expect
    .poll(() => http.logged.some((line) => line.includes('"ended":false')), { timeout: 5000 })
    .toBe(true)
  line.destroy()
})

test('requests sent at once on one connection are answered in turn, and too many of them cut it', async () => {
  await using http = await startHttp()
  const one = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
  const last = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
  expect((await http.raw(one.repeat(100) + last)).match(/\{"ok":true\}/g)).toHaveLength(101)
  const flood = open(http)
  flood.write(one.repeat(5000))
  flood.resume()
  await closes(flood)
})

test('connections without a token make room for others, and one with a token stays', async () => {
  await using http = await startHttp({}, { strangers: 10 })
  const { id } = await http.create()
  const reader = open(http)
  reader.write(`GET /v1/deployments/${id}/events HTTP/1.1\r\n${bearer}\r\n`)
  await once(reader, 'data')
  const strangers = Array.from({ length: 50 }, () => open(http))
  await expect.poll(() => strangers.filter((line) => line.closed).length).toBeGreaterThanOrEqual(39)
  expect((await http.get('/healthz')).status).toBe(200)
  expect(reader.closed).toBe(false)
  for (const line of [reader, ...strangers]) line.destroy()
})

test('more headers than any program sends, and codings that are read in two ways, are refused', async () => {
  await using http = await startHttp()
  const get = `GET /v1/apps/shop/deployments HTTP/1.1\r\n${bearer}`
  expect(await http.raw(`${get}${'X: y\r\n'.repeat(101)}\r\n`)).toMatch(
    / 400 [^]*more than 100 headers/,
  )
  expect(await http.raw(`${get}${'X: y\r\n'.repeat(70)}Connection: close\r\n\r\n`)).toContain(
    '200 OK',
  )

  const put = `PUT /deploy/shop HTTP/1.1\r\n${bearer}`
  const chunks = '\r\n3\r\ntar\r\n0\r\n\r\n'
  for (const coding of [
    'gzip, chunked',
    'identity',
    'chunked, identity',
    'xchunked',
    'chunked\r\nTransfer-Encoding: chunked',
  ])
    expect([coding, await http.raw(`${put}Transfer-Encoding: ${coding}\r\n${chunks}`)]).toEqual([
      coding,
      expect.stringMatching(/ 400 /),
    ])
  expect(
    await http.raw(`${put}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n${chunks}`),
  ).toMatch(/ 400 /)
  expect(http.received).toEqual([])
})

test('a connection on which nothing comes is closed', async () => {
  await using http = await startHttp()
  const begun = performance.now()
  const silent = open(http).resume()
  const slow = open(http)
  slow.write('GET /healthz HTTP/1.1\r\n')
  const answer = text(slow)
  await Promise.all([closes(silent), closes(slow), wait(0)])
  expect(performance.now() - begun).toBeLessThan(18_000)
  expect(await answer).toMatch(/^HTTP\/1\.1 408 [^]*"code":"headers-too-slow"/)
})
