import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { connect } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { authorization, startHttp, token } from './start-http.ts'

vi.setConfig({ testTimeout: 30_000 }) // some tests wait, and machines may be busy

const h2c =
  'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'
const bearer = `Host: x\r\nAuthorization: Bearer ${token}\r\n`
const handshake = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'
const statuses = (answer: string) => answer.match(/(?<=HTTP\/1\.1 )\d+/g)?.map(Number)
const last = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

test('curl that offers h2c can upload, with and without a token', async () => {
  await using http = await startHttp()
  const curl = (...args: string[]) =>
    promisify(execFile)('curl', [
      '-s',
      '--http2',
      '-w',
      '%{http_code}',
      '-T',
      import.meta.filename,
      ...args,
    ])
  const url = `${http.url}/deploy/shop?follow=false`
  expect((await curl(url)).stdout).toMatch(/"code":"unauthorized"[^]*401$/)
  expect((await curl('-H', `Authorization: Bearer ${token}`, url)).stdout).toMatch(
    /"state":"pending"[^]*202$/,
  )
  expect(http.received).toHaveLength(1)
})

test('an upgrade that is not the log’s WebSocket is served as plain HTTP, with its body and what comes behind it', async () => {
  await using http = await startHttp()
  const upload = `PUT /deploy/shop?follow=false HTTP/1.1\r\n${bearer}${h2c}`
  const unknown = 'Connection: upgrade\r\nUpgrade: TLS/1.0, websocket\r\n'
  const list = `GET /v1/apps/shop/deployments HTTP/1.1\r\n${bearer}`
  const settings = '/v1/apps/shop HTTP/1.1'
  const cases: [number[], ...string[]][] = [
    [[200, 200], `${list}${h2c}\r\n${last}`],
    [[200, 200, 200], `${list}${h2c}\r\n${list}\r\n${last}`],
    [[200, 200], `${list}${unknown}\r\n`, last],
    [[200, 200], `${list}${handshake}${key}\r\n`, last],
    [[202], `${upload}Content-Length: 5\r\n\r\nbytes`],
    [[202], `${upload}Content-Length: 5\r\n\r\n`, 'by', 'tes'],
    [[202], `${upload}Transfer-Encoding: chunked\r\n\r\n`, '5\r\nby', 'tes\r\n0', '\r\n\r\n'],
    [[100, 202], `${upload}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`, 'bytes'],
    [[200], `PATCH ${settings}\r\n${bearer}${h2c}Content-Length: 15\r\n\r\n`, '{"lane":"fifo"}'],
    [[400], `PATCH ${settings}\r\n${bearer}${h2c}Content-Length: 1\r\n\r\n{`],
    [[401], `PUT /deploy/shop HTTP/1.1\r\nHost: x\r\n${h2c}Content-Length: 5\r\n\r\n`, 'bytes'],
    [[401, 200], `GET /deploy/shop HTTP/1.1\r\nHost: x\r\n${h2c}\r\n${last}`],
    [[200, 200], `${list}\r\n${list}${h2c}\r\n`],
    [[405], `CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n`],
    [[405], `CONNECT x:1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n`, 'a'],
  ]
  for (const [expected, ...pieces] of cases)
    expect({ pieces, got: statuses(await http.raw(...pieces)) }).toEqual({ pieces, got: expected })
  expect(http.received).toHaveLength(4)
  expect(http.logged.join('')).not.toContain('"level":50')
})

test('a WebSocket that cannot be one gets an answer, and its line is closed', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const events = (id: string) => `GET /v1/deployments/${id}/events HTTP/1.1\r\n`
  const old = key.replace('13', '7')
  const cases: [number, string][] = [
    [401, `${events(id)}Host: x\r\n${handshake}${key}`],
    [404, `${events('none')}${bearer}${handshake}${key}`],
    [422, `GET /v1/deployments/${id}/events?onyl=state HTTP/1.1\r\n${bearer}${handshake}${key}`],
    [426, `${events(id)}${bearer}${handshake}${old}`],
    [426, `${events(id)}${bearer}${handshake}`],
    [426, `${events(id)}${bearer}${handshake}${key.replace('AAAA', 'A')}`],
    [401, `${events(id)}Host: x\r\n${handshake}${key}Content-Length: 3\r\n`],
  ]
  for (const [status, head] of cases) {
    const answer = await http.raw(`${head}\r\n`)
    expect([head, statuses(answer)]).toEqual([head, [status]])
    expect(answer).toContain('application/problem+json')
    if (status === 426) expect(answer).toContain('Sec-WebSocket-Version: 13')
  }
  expect(http.logged.join('')).not.toContain('"level":50')
})

test('a WebSocket handshake behind an unfinished request is not upgraded', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const read = `GET /v1/deployments/${id}/events HTTP/1.1\r\n${bearer}`
  const answer = http.raw(`${read}Accept: text/plain\r\n\r\n${read}${handshake}${key}\r\n`)
  const cancel = await fetch(`${http.url}/v1/deployments/${id}/cancel`, {
    method: 'POST',
    headers: authorization,
  })
  expect(cancel.status).toBe(200)
  expect(statuses(await answer)).toEqual([200, 200])
})

test('a WebSocket is accepted on a connection that offered h2c before', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const warnings: Error[] = []
  const note = (warning: Error) => void warnings.push(warning)
  process.on('warning', note)
  onTestFinished(() => void process.off('warning', note))
  const line = connect(http.port, '127.0.0.1').on('error', () => {})
  let heard = ''
  line.on('data', (data) => (heard += data.toString('latin1')))
  for (let times = 1; times <= 20; times++) {
    line.write(`GET /v1/apps/shop/deployments HTTP/1.1\r\n${bearer}${h2c}\r\n`)
    await expect.poll(() => statuses(heard)?.length).toBe(times)
  }
  line.write(`GET /v1/deployments/${id}/events HTTP/1.1\r\n${bearer}${handshake}${key}\r\n`)
  await expect.poll(() => statuses(heard)).toEqual([...Array<number>(20).fill(200), 101])
  line.destroy()
  expect(warnings).toEqual([]) // no warnings about leaked listeners
})

test('a refused handshake behind h2c gets one answer', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const list = `GET /v1/apps/shop/deployments HTTP/1.1\r\n${bearer}${h2c}\r\n`
  const bad = `GET /v1/deployments/${id}/events HTTP/1.1\r\n${bearer}${handshake}\r\n`
  expect(statuses(await http.raw(list, bad))).toEqual([200, 426])
})

test('a reader that talks without end over its WebSocket is cut; one that says little is heard', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const open = () => {
    const line = connect(http.port, '127.0.0.1')
    line.write(`GET /v1/deployments/${id}/events HTTP/1.1\r\n${bearer}${handshake}${key}\r\n`)
    return line.on('error', () => {})
  }
  const ping = Buffer.from([0x89, 0x81, 0, 0, 0, 0, 0x61])
  const loud = open()
  await new Promise((resolve) => loud.once('data', resolve))
  loud.write(Buffer.concat(Array<Buffer>(10_000).fill(ping)))
  await new Promise((resolve) => loud.once('close', resolve))
  const quiet = open()
  let heard = ''
  quiet.on('data', (data) => (heard += data.toString('latin1')))
  quiet.write(ping)
  await expect.poll(() => heard.includes('\x8a\x01a')).toBe(true)
  quiet.destroy()
})
