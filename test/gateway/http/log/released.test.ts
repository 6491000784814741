import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { startHttp, token } from '../start-http.ts'

const bearer = `Host: x\r\nAuthorization: Bearer ${token}\r\n`
type Exchange = { socket: Socket & { parser: unknown }; response: ServerResponse }

/** A gateway with one deployment that runs, and what its server makes of each request. */
async function open(options: Parameters<typeof startHttp>[0] = {}) {
  const http = await startHttp(options)
  await http.create()
  const { id, more, holder } = await http.play([['analyzing'], ['building']])
  const exchanges: Exchange[] = []
  const note = (message: unknown) => void exchanges.push(message as Exchange)
  subscribe('http.server.request.start', note)
  onTestFinished(() => void unsubscribe('http.server.request.start', note))
  const events = (version = '1.1', more = '') =>
    `GET /v1/deployments/${id}/events HTTP/${version}\r\n${bearer}${more}\r\n`
  const say = (text: string) => more({ type: 'log', step: null, stream: 'stdout', text })
  const end = () => http.store.advance(holder, 'building', 'build_failed')
  return { http, exchanges, events, say, end }
}

/** Sends these bytes on a connection of its own, and collects the answer. */
function send(port: number, bytes: string) {
  const line = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {})
  const answer = { text: '', line, closed: new Promise((done) => line.once('close', done)) }
  line.on('data', (data) => (answer.text += data.toString('latin1')))
  line.on('end', () => line.end())
  line.write(bytes)
  return answer
}

/** The body of an answer in chunks, whole until its last chunk. */
function bodyOf(answer: string): string {
  let rest = answer.slice(answer.indexOf('\r\n\r\n') + 4)
  for (let body = ''; ;) {
    const size = Number.parseInt(rest, 16)
    const from = rest.indexOf('\r\n') + 2
    if (size === 0) return rest === '0\r\n\r\n' ? body : `${body} and then ${rest}`
    body += rest.slice(from, from + size)
    expect(rest.slice(from + size, from + size + 2)).toBe('\r\n')
    rest = rest.slice(from + size + 2)
  }
}

test('Node’s HTTP holds nothing for a reader that waits, and the log comes in whole chunks', async () => {
  const { http, exchanges, events, say, end } = await open()
  await using _http = http
  const reader = send(http.port, events())
  await expect.poll(() => reader.text).toContain('"building"')
  const [{ socket, response }] = exchanges as [Exchange]
  expect([socket.parser, response.socket, response.writableEnded]).toEqual([null, null, false])
  expect(reader.text).toMatch(/^HTTP\/1\.1 200 OK\r\nX-Request-Id: /)
  expect(reader.text).toContain('\r\nConnection: close\r\n')

  await say('hällo')
  await say('x'.repeat(100_000))
  await end()
  await reader.closed
  const body = Buffer.from(bodyOf(reader.text), 'latin1').toString()
  expect(body.startsWith('retry: 1000\n\nid: 1\n')).toBe(true)
  for (const part of ['hällo', 'x'.repeat(100_000), '\n\nevent: end\n'])
    expect(body).toContain(part)
  await expect.poll(() => http.logged.join('')).toContain('"msg":"request"')
  const line = JSON.parse(http.logged.find((each) => each.includes('/events'))!) as object
  expect(line).toMatchObject({ status: 200, ended: true, sentBytes: reader.text.length })
})

test('a reader that shows nothing of the log gets no empty chunk, which would end its body', async () => {
  const { http, events, say, end } = await open()
  await using _http = http
  const only = events().replace('/events', '/events?only=machine,state')
  const reader = send(http.port, only)
  await expect.poll(() => reader.text).toContain('"building"')
  await say('not asked for')
  await end()
  await reader.closed
  expect(bodyOf(reader.text)).toMatch(/"build_failed"[^]*event: end/)
})

test('a refused reader gets its answer, and its connection is closed', async () => {
  const { http, events } = await open()
  await using _http = http
  const reader = send(http.port, events().replace(token, 'wrong'))
  await reader.closed
  expect(reader.text).toMatch(/^HTTP\/1\.1 401 [^]*\r\nConnection: close\r\n[^]*"unauthorized"/)
})

test('a reader of HTTP/1.0 and one with a request behind its own get their logs from Node', async () => {
  const { http, exchanges, events, end } = await open()
  await using _http = http
  const old = send(http.port, events('1.0'))
  const next = send(http.port, `${events()}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`)
  await expect.poll(() => exchanges.length).toBe(3)
  await end()
  await old.closed
  expect(old.text).toMatch(/event: end\n.*\n\n$/)
  await expect.poll(() => next.text).toMatch(/event: end\n[^]*\r\n0\r\n\r\nHTTP\/1\.1 200 OK/)
  next.line.destroy()
})

test('a reader that leaves, resets its connection or talks on is closed; the others read on', async () => {
  const { http, exchanges, events, say, end } = await open()
  await using _http = http
  const readers = Array.from({ length: 4 }, () => send(http.port, events()))
  await expect.poll(() => readers.every(({ text }) => text.includes('"building"'))).toBe(true)
  const [leaves, resets, talks, stays] = readers as [Sent, Sent, Sent, Sent]
  leaves.line.end()
  resets.line.resetAndDestroy()
  for (let index = 0; index < 20; index++) talks.line.write('x'.repeat(10_000))
  await Promise.all([leaves, resets, talks].map(({ closed }) => closed))
  await expect.poll(async () => (await http.awake.look()).counts.readers).toBe(1)

  await say('still here')
  await end()
  await stays.closed
  expect(bodyOf(stays.text)).toContain('still here')
  await expect.poll(() => exchanges.every(({ socket }) => socket.destroyed)).toBe(true)
})
type Sent = ReturnType<typeof send>

test('a gateway that stops sends readers away, and cuts those that do not take it', async () => {
  const { http, exchanges, events, say } = await open()
  const [reads, stuck] = [send(http.port, events()), send(http.port, events())]
  await expect.poll(() => reads.text.length * stuck.text.length).toBeGreaterThan(0)
  stuck.line.pause()
  for (let index = 0; index < 20; index++) await say('x'.repeat(2 ** 20))
  http.stop()
  await http[Symbol.asyncDispose]()
  expect(exchanges.map(({ socket }) => socket.destroyed)).toEqual([true, true])
  await reads.closed
  expect(reads.text.slice(-400)).toMatch(/"stopping"|x$/)
})
