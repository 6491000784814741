import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { StreamMessage } from '#api/event-stream.ts'
import { authorization, startHttp, token, toLive } from './start-http.ts'

const types = ['state', 'state', 'state', 'state', 'step', 'log', 'state', 'state', 'state', 'state', 'end']

/** All messages until the server closes the socket, with the code of the closing. */
function readSocket(url: string, headers: Record<string, string> = authorization) {
  const socket = new WebSocket(url.replace('http', 'ws'), { headers })
  const messages: StreamMessage[] = []
  socket.on('message', (data) => messages.push(JSON.parse((data as Buffer).toString()) as StreamMessage))
  return new Promise<{ messages: StreamMessage[]; code: number }>((resolve, reject) => {
    socket.on('close', (code) => resolve({ messages, code })).on('error', reject)
  })
}

test('the log comes as server-sent events that go on after the last one seen', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const open = await http.get(`/v1/deployments/${id}/events`)
  expect(open.headers.get('Content-Type')).toBe('text/event-stream; charset=utf-8')
  await http.play(toLive)
  const blocks = (await open.text()).trim().split('\n\n').slice(1)
  expect(blocks.map((block) => /^event: (\w+)$/m.exec(block)![1])).toEqual(types)
  expect(blocks[4]).toMatch(/^id: 5\nevent: step\ndata: \{"seq":5,.*"name":"npm ci"/)
  const again = await http.get(`/v1/deployments/${id}/events?after=2`, { 'Last-Event-ID': '9' })
  expect(
    (await again.text())
      .trim()
      .split('\n\n')
      .map((block) => block.split('\n')[0]),
  ).toEqual(['id: 10', 'event: end'])
})

test('the same log comes as JSON lines and as text', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  await http.play(toLive)
  const lines = await (
    await http.get(`/v1/deployments/${id}/events?after=8`, { Accept: 'application/x-ndjson' })
  ).text()
  expect(
    lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toMatchObject([
    { seq: 9, type: 'state', state: 'verifying' },
    { seq: 10, type: 'state', state: 'live', url: 'http://shop.localhost/' },
    { type: 'end', state: 'live' },
  ])
  const text = await (await http.get(`/v1/deployments/${id}/events`, { Accept: 'text/plain' })).text()
  expect(text).toMatch(/=> pending\n[^]*=> live\n\nlive: shop[^]*\nhttp:\/\/shop\.localhost\/\n$/)
  expect((await http.get(`/v1/deployments/${id}/events`, { Accept: 'image/png' })).status).toBe(400)
  expect((await http.get(`/v1/deployments/${id}/events?after=x`)).status).toBe(422)
})

test('the same log comes over WebSocket, from a number on, live, and closes at its end', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const all = readSocket(`${http.url}/v1/deployments/${id}/events`)
  await http.play(toLive)
  const { messages, code } = await all
  expect(messages.map(({ type }) => type)).toEqual(types)
  expect(code).toBe(1000)
  const rest = await readSocket(`${http.url}/v1/deployments/${id}/events?after=9`)
  expect(rest.messages).toMatchObject([{ seq: 10 }, { type: 'end' }])
})

test('a WebSocket is refused like any request', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  await expect(readSocket(`${http.url}/v1/deployments/${id}/events`, {})).rejects.toThrow('401')
  await expect(readSocket(`${http.url}/v1/deployments/none/events`)).rejects.toThrow('404')
  await expect(readSocket(`${http.url}/v1/deployments/${id}`)).rejects.toThrow('404')
})

test('a WebSocket reader that is stuck is dropped, one that says too much as well', async () => {
  await using http = await startHttp({ heartbeatMs: 50 })
  await http.create()
  const { id, more } = await http.play([['analyzing']])
  const stuck = connect(http.port, '127.0.0.1')
  stuck.write(
    `GET /v1/deployments/${id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: Upgrade\r\n` +
      'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  )
  await new Promise((resolve) => stuck.once('data', resolve))
  stuck.pause()
  const text = 'x'.repeat(2 ** 20)
  for (let index = 0; index < 20; index++) await more({ type: 'log', step: null, stream: 'stdout', text })
  const dropped = new Promise((resolve) => stuck.once('close', resolve).once('error', resolve))
  await new Promise((resolve) => setTimeout(resolve, 200))
  stuck.resume()
  await dropped

  const other = await http.create()
  const loud = new WebSocket(`${http.url.replace('http', 'ws')}/v1/deployments/${other.id}/events`, {
    headers: authorization,
  })
  loud.on('open', () => loud.send('x'.repeat(5000)))
  expect(await new Promise((resolve) => loud.once('close', resolve))).toBe(1009)
})

test('a quiet line shows signs of life', async () => {
  await using http = await startHttp({ heartbeatMs: 20 })
  const { id } = await http.create()
  const open = ['text/event-stream', 'application/x-ndjson', 'text/plain'].map((Accept) =>
    http.get(`/v1/deployments/${id}/events`, { Accept }),
  )
  await new Promise((resolve) => setTimeout(resolve, 100))
  await http.play(toLive)
  const [sse, ndjson, text] = await Promise.all(open.map(async (answer) => (await answer).text()))
  expect(sse).toContain('\n: still here\n\n')
  expect(ndjson).toContain('}\n\n')
  expect(text).toContain('   still pending\n')
})

test('a reader that takes nothing holds up nobody and costs no memory', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const slow = await http.get(`/v1/deployments/${id}/events`)
  const { more, holder } = await http.play([['analyzing']])
  const text = 'x'.repeat(2 ** 20)
  const before = process.memoryUsage().rss
  for (let index = 0; index < 100; index++) await more({ type: 'log', step: null, stream: 'stdout', text })
  await http.store.advance(holder, 'analyzing', 'build_failed', {})
  const quick = await (await http.get(`/v1/deployments/${id}/events?after=103`)).text()
  expect(quick).toContain('"build_failed"')
  expect(process.memoryUsage().rss - before).toBeLessThan(400 * 2 ** 20)
  await slow.body!.cancel()
})
