import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startHttp } from '../start-http.ts'
import { bearer, send } from './doors.ts'

// ../shared/reference/reliability.md 4.1: what a request may look like. A test for each form that two
// programs could read in two ways (request smuggling), and for each that must be taken.

vi.setConfig({ testTimeout: 30_000 })

let http: Awaited<ReturnType<typeof startHttp>>
beforeAll(async () => void (http = await startHttp({}, { drainMs: 200 })))
afterAll(() => http?.[Symbol.asyncDispose]())

const put = `PUT /deploy/shop?follow=false HTTP/1.1\r\n${bearer}`
const get = `GET /v1/apps/shop/deployments HTTP/1.1\r\n${bearer}`
const chunked = (body: string) => `${put}Transfer-Encoding: chunked\r\n\r\n${body}`
const end = '0\r\n\r\n'

const refused: [form: string, bytes: string, status?: number, code?: string][] = [
  // Two lengths of one body.
  ['Content-Length and Transfer-Encoding', chunked(end).replace('Tr', 'Content-Length: 3\r\nTr')],
  [
    'Transfer-Encoding and Content-Length',
    `${put}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n${end}`,
  ],
  ['two Content-Length that differ', `${put}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`],
  ['two Content-Length that are equal', `${put}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`],
  ['a Content-Length that is a list', `${put}Content-Length: 3, 3\r\n\r\nabc`],
  ['Transfer-Encoding twice', chunked(end).replace('Tr', 'Transfer-Encoding: chunked\r\nTr')],
  // Lengths that are no numbers, and too large ones.
  ['a negative Content-Length', `${put}Content-Length: -1\r\n\r\n`],
  ['a Content-Length with a sign', `${put}Content-Length: +3\r\n\r\nabc`],
  ['a hexadecimal Content-Length', `${put}Content-Length: 0x3\r\n\r\nabc`],
  ['an empty Content-Length', `${put}Content-Length: \r\n\r\n`],
  ['a Content-Length beyond 2^64', `${put}Content-Length: 99999999999999999999999\r\n\r\n`],
  // Codings.
  ['a coding before chunked', `${put}Transfer-Encoding: gzip, chunked\r\n\r\n${end}`],
  ['a coding after chunked', `${put}Transfer-Encoding: chunked, identity\r\n\r\n${end}`],
  ['the coding identity', `${put}Transfer-Encoding: identity\r\n\r\nabc`],
  ['an unknown coding', `${put}Transfer-Encoding: xchunked\r\n\r\n${end}`],
  ['a coding behind a vertical tab', `${put}Transfer-Encoding:\x0bchunked\r\n\r\n${end}`],
  ['chunks in HTTP/1.0', chunked(end).replace('HTTP/1.1', 'HTTP/1.0')],
  // Chunks.
  ['a negative chunk', chunked(`-1\r\nabc\r\n${end}`)],
  ['a chunk beyond 2^64', chunked(`ffffffffffffffffff\r\nabc\r\n${end}`)],
  ['a chunk size with 0x', chunked(`0x3\r\nabc\r\n${end}`)],
  ['a chunk without a size', chunked(`\r\nabc\r\n${end}`)],
  ['a space after a chunk size', chunked(`3 \r\nabc\r\n${end}`)],
  ['a bare LF after a chunk size', chunked(`3\nabc\r\n${end}`)],
  ['a bare LF after a chunk extension', chunked(`3;a\nabc\r\n${end}`)],
  ['more bytes than the chunk says', chunked(`3\r\nabcd\r\n${end}`)],
  ['a chunk extension of 20 kB', chunked(`3;${'a'.repeat(20_000)}\r\nabc\r\n${end}`)],
  ['a bare LF in a trailer', chunked('0\r\nA: b\n\r\n')],
  // Headers.
  ['a space before the colon', `${put}Content-Length : 3\r\n\r\nabc`],
  ['a bare LF between headers', `${put}A: b\nContent-Length: 3\r\n\r\nabc`],
  ['bare LFs alone', put.replaceAll('\r\n', '\n') + '\n'],
  ['a bare CR in a value', `${get}X: a\rb\r\n\r\n`],
  ['a NUL in a value', `${get}X: a\0b\r\n\r\n`],
  ['a NUL in a name', `${get}X\0: a\r\n\r\n`],
  ['a header before the first one that is folded', get.replace('Host', ' Host') + '\r\n'],
  ['a folded header', `${get}X: a\r\n b\r\n\r\n`],
  ['a folded Transfer-Encoding', `${put}Transfer-Encoding:\r\n chunked\r\n\r\n${end}`],
  ['a folded Content-Length', `${put}Content-Length: 1\r\n 0\r\n\r\nabc`],
  // Floods of headers, by count and by bytes.
  ['101 headers', `${get}${'X: y\r\n'.repeat(101)}\r\n`],
  ['100,000 headers', `${get}${'X: y\r\n'.repeat(100_000)}\r\n`, 431, 'headers-too-large'],
  ['a header of 20 kB', `${get}X: ${'y'.repeat(20_000)}\r\n\r\n`, 431, 'headers-too-large'],
  [
    'an address of 20 kB',
    `GET /${'y'.repeat(20_000)} HTTP/1.1\r\n${bearer}\r\n`,
    431,
    'headers-too-large',
  ],
  // Hosts.
  ['no Host', get.replace(/Host: \S+\r\n/, '') + '\r\n'],
  ['two Host', `${get}Host: b\r\n\r\n`],
  ['two Host where no token is needed', 'GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
  ['a Host that is a list', get.replace('127.0.0.1', 'a, b') + '\r\n'],
  ['a Host with a user', get.replace('127.0.0.1', 'a@b') + '\r\n'],
  ['a Host with a path', get.replace('127.0.0.1', 'a/b') + '\r\n'],
  // Request lines.
  ['an absolute address with a user', get.replace(' /', ' http://a@b/') + '\r\n'],
  ['an absolute address of another protocol', get.replace(' /', ' ftp://a/') + '\r\n'],
  ['an address that is no path', get.replace(' /', ' deploy/') + '\r\n'],
  ['the beginning of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['HTTP/1.2', get.replace('HTTP/1.1', 'HTTP/1.2') + '\r\n'],
  ['HTTP/0.9', 'GET /healthz\r\n\r\n'],
  ['a tunnel', `CONNECT a:22 HTTP/1.1\r\n${bearer}\r\n`, 405, 'method-not-allowed'],
]
test.each(refused)(
  '%s is refused with a problem, as the last answer of the line',
  async (_, bytes, status = 400, code = 'request-invalid') => {
    const answer = await send(http, Buffer.from(bytes, 'latin1'))
    expect(answer).toMatchObject({ status, code })
    expect(answer.text).toContain('\r\nContent-Type: application/problem+json\r\n')
    expect(answer.text).toContain('\r\nConnection: close\r\n')
    expect(answer.text).toMatch(/"detail":"[A-Z][^"]{15,}\."/)
    expect(answer.statuses).toHaveLength(1)
    expect(http.received).toEqual([])
  },
)

const close = 'Connection: close\r\n'
const taken: [form: string, bytes: string][] = [
  ['a chunk with an extension', chunked(`3;a=b\r\nabc\r\n${end}`).replace('Tr', `${close}Tr`)],
  ['a chunk size with zeros', chunked(`0003\r\nabc\r\n${end}`).replace('Tr', `${close}Tr`)],
  ['a trailer', chunked('3\r\nabc\r\n0\r\nA: b\r\n\r\n').replace('Tr', `${close}Tr`)],
  ['a tab before a value', `${put}${close}Content-Length:\t3\r\n\r\nabc`],
  ['an empty line before the request', `\r\n${put}${close}Content-Length: 3\r\n\r\nabc`],
  [
    'an absolute address',
    put.replace(' /', ' http://127.0.0.1/') + `${close}Content-Length: 3\r\n\r\nabc`,
  ],
  ['Expect: 100-continue', `${put}${close}Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc`],
  [
    'another Expect, which RFC 9110 lets a server ignore',
    `${put}${close}Expect: 200-ok\r\nContent-Length: 3\r\n\r\nabc`,
  ],
  [
    'HTTP/1.0 without a Host',
    put.replace('1.1', '1.0').replace(/Host: \S+\r\n/, '') + 'Content-Length: 3\r\n\r\nabc',
  ],
]
test.each(taken)('%s is taken, with the same 3 bytes', async (_, bytes) => {
  const before = http.received.length
  expect((await send(http, Buffer.from(bytes, 'latin1'))).status).toBe(202)
  expect(http.received.slice(before)).toEqual([{ sizeBytes: 3 }])
})

test('a sender with Expect: 100-continue is asked for its body, and one with another Expect is not', async () => {
  const asked = `${put}${close}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n`
  expect((await send(http, asked, 'abc')).text).toMatch(/^HTTP\/1\.1 100 Continue\r\n/)
  const other = asked.replace('100-continue', '200-ok')
  expect((await send(http, other, 'abc')).text).toMatch(/^HTTP\/1\.1 202 /)
  const old = asked.replace('HTTP/1.1', 'HTTP/1.0')
  expect((await send(http, old, 'abc')).text).toMatch(/^HTTP\/1\.1 202 /)
})

test('a request after Connection: close is not read', async () => {
  const secret = (name: string, more = '') =>
    `PATCH /v1/apps/shop HTTP/1.1\r\n${bearer}${more}Content-Length: 17\r\n\r\n{"env":{"${name}":"1"}}`
  const answer = await send(http, secret('A', close) + secret('B'))
  expect(answer.statuses).toEqual([200])
  expect(await (await http.get('/v1/apps/shop')).text()).toMatch(/"A":"1"/)
  expect(await (await http.get('/v1/apps/shop')).text()).not.toMatch(/"B":"1"/)
})

test('what comes behind a whole request does not take its answer away', async () => {
  const answer = await send(http, `${put}Content-Length: 3\r\n\r\nabc<- three bytes\r\n\r\n`)
  expect(answer.statuses).toEqual([202, 400])
  expect(answer.code).toBe('request-invalid')
})

test('requests in one piece are answered in turn, and nothing behind a bad one is read', async () => {
  const good = 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'
  const answer = await send(http, `${good}${good}${good}bad\r\n\r\n${good}`)
  expect(answer.statuses).toEqual([200, 200, 200, 400])
})
