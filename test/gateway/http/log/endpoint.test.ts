import { IncomingMessage, ServerResponse } from 'node:http'
import { connect, Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import type { StreamMessage } from '#api/event-stream.ts'
import { everything } from '../../../../gateway/src/http/log/filter.ts'
import { sendLog } from '../../../../gateway/src/http/log/stream.ts'
import { openLog } from '../../../../gateway/src/log.ts'
import { authorization, startHttp, toBuildFailed, token, toLive } from '../start-http.ts'

const types = [
  'state',
  'state',
  'state',
  'state',
  'step',
  'log',
  'state',
  'state',
  'state',
  'state',
  'end',
]

/** Reads all messages until the server closes the socket, and the close code. */
function readSocket(url: string, headers: Record<string, string> = authorization) {
  const socket = new WebSocket(url.replace('http', 'ws'), { headers })
  const messages: StreamMessage[] = []
  socket.on('message', (data) =>
    messages.push(JSON.parse((data as Buffer).toString()) as StreamMessage),
  )
  return new Promise<{ messages: StreamMessage[]; code: number }>((resolve, reject) => {
    socket.on('close', (code) => resolve({ messages, code })).on('error', reject)
  })
}

test('the log comes as server-sent events that continue after the last one seen', async () => {
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

  const text = await (
    await http.get(`/v1/deployments/${id}/events`, { Accept: 'text/plain' })
  ).text()
  expect(text).toMatch(
    /=> pending by operator\n[^]*=> live\n\nlive: shop[^]*\nhttp:\/\/shop\.localhost\/\n$/,
  )
  expect((await http.get(`/v1/deployments/${id}/events`, { Accept: 'image/png' })).status).toBe(400)
  expect((await http.get(`/v1/deployments/${id}/events?after=x`)).status).toBe(422)
})

test('the same log comes over WebSocket, from a given number, live, and closes at its end', async () => {
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

test('a log can be filtered by type, step and stream in every format, and keeps its numbers', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const path = `/v1/deployments/${id}/events`
  const live = http.get(`${path}?only=state,step`, { Accept: 'application/x-ndjson' })
  const { more } = await http.play(toLive.slice(0, 4))
  for (const stream of ['stdout', 'stderr'] as const)
    await more({ type: 'log', step: 's2', stream, text: stream })
  const { holder } = { holder: { id, epoch: 1 } }
  for (const [from, to] of [
    ['building', 'pushing'],
    ['pushing', 'built'],
  ] as const)
    await http.store.advance(holder, from, to)
  const seqs = (text: string) =>
    text
      .split('\n')
      .flatMap((line) => /"seq":(\d+)/.exec(line)?.[1] ?? [])
      .map(Number)
  expect(seqs(await (await live).text())).toEqual([1, 2, 3, 4, 5, 9, 10])
  expect(seqs(await (await http.get(`${path}?step=s2&after=7`)).text())).toEqual([8])
  expect(await (await http.get(`${path}?stream=stderr`, { Accept: 'text/plain' })).text()).toMatch(
    /s {2} {3}\| stderr\n\nbuilt/,
  )
  const { messages } = await readSocket(`${http.url}${path}?only=log&step=s1`)
  expect(messages).toMatchObject([{ seq: 6, step: 's1' }, { type: 'end' }])

  // By the name of the step: also when the event with the name comes before `after`.
  const byName = `${path}?step=npm%20ci`
  expect(seqs(await (await http.get(byName)).text())).toEqual([5, 6])
  expect(seqs(await (await http.get(`${byName}&after=5`)).text())).toEqual([6])
  expect(seqs(await (await http.get(`${path}?step=npm`)).text())).toEqual([])
  const named = await readSocket(`${http.url}${byName}&only=log&after=5`)
  expect(named.messages).toMatchObject([{ seq: 6, step: 's1' }, { type: 'end' }])
  const file = await http.get(`${byName.replace('/events', '/log')}&only=log`)
  expect(await file.text()).toContain('| ')

  for (const [query, known] of [
    ['only=states', 'state'],
    ['only=state,x', 'machine'],
    ['stream=both', 'stderr'],
  ] as const) {
    const refused = await http.get(`${path}?${query}`)
    expect([refused.status, await refused.json()]).toEqual([
      400,
      expect.objectContaining({ known: expect.arrayContaining([known]) }),
    ])
  }
})

test('the log so far can be downloaded as a file, compressed on request', async () => {
  await using http = await startHttp()
  await http.create()
  const { id, more } = await http.play([['analyzing'], ['building']])
  for (let n = 0; n < 1200; n++)
    await more({ type: 'log', step: 's1', stream: 'stdout', text: `line ${n} ${'x'.repeat(200)}` })
  const path = `/v1/deployments/${id}/log`
  const plain = await http.get(path, { 'Accept-Encoding': 'identity' })
  expect(plain.headers.get('Content-Disposition')).toBe('attachment; filename="shop-1.log"')
  expect(plain.headers.get('Content-Encoding')).toBeNull()

  const text = await plain.text()
  expect(text.match(/line \d+/g)).toEqual(Array.from({ length: 1200 }, (_, n) => `line ${n}`))
  expect(text).toMatch(/^ {4}0\.0s {2}deployment [^]*x\n$/)
  const small = await http.get(path, { 'Accept-Encoding': 'gzip' })
  expect([small.headers.get('Content-Encoding'), await small.text()]).toEqual(['gzip', text])

  await http.store.advance({ id, epoch: 1 }, 'building', 'build_failed')
  expect(await (await http.get(`${path}?only=state`)).text()).toMatch(
    /=> build_failed\n\nbuild_failed: shop/,
  )
})

test('many readers, slow and quick, that come at different times see every event once', async () => {
  await using http = await startHttp()
  await http.create()
  const { id, more, holder } = await http.play([['analyzing'], ['building']])
  const readers: Promise<string>[] = []
  for (let n = 0; n < 60; n++) {
    const headers = { Accept: 'application/x-ndjson' }
    for (const after of [0, n])
      readers.push(
        http
          .get(`/v1/deployments/${id}/events?after=${after}`, headers)
          .then((answer) => answer.text()),
      )
    if (n % 20 === 0)
      readers.push(
        http
          .get(`/v1/deployments/${id}/events?after=1000`, headers)
          .then(async (answer) => `${await answer.text()}late`),
      )
    await more({
      type: 'log',
      step: null,
      stream: 'stdout',
      text: `${n} ${'x'.repeat(n % 7 === 0 ? 20_000 : 10)}`,
    })
  }
  await http.store.advance(holder, 'building', 'build_failed')
  const last = 3 + 60 + 2
  const seen = (await Promise.all(readers)).map(
    (text) => text.match(/(?<="seq":)\d+|late/g)?.map(Number) ?? [],
  )
  for (const seqs of seen)
    expect(seqs).toEqual(
      Number.isNaN(seqs[0])
        ? [NaN]
        : Array.from({ length: last - seqs[0]! + 1 }, (_, n) => seqs[0]! + n),
    )
  expect(seen.filter(([first]) => first === 1).length).toBeGreaterThanOrEqual(60)
})

test('a reader that takes nothing is disconnected with a reason, and can continue where it stopped', async () => {
  await using http = await startHttp({ heartbeatMs: 100 })
  await http.create()
  const { id, more } = await http.play([['analyzing']])
  const stuck = connect(http.port, '127.0.0.1')
  stuck.write(
    `GET /v1/deployments/${id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`,
  )
  await new Promise((resolve) => stuck.once('data', resolve))
  stuck.pause()
  const text = 'x'.repeat(2 ** 20)
  for (let index = 0; index < 20; index++)
    await more({ type: 'log', step: null, stream: 'stdout', text })
  await expect
    .poll(() => http.logged.join(''), { timeout: 5000 })
    .toContain('log reader takes nothing')

  const line = http.logged.find((each) => each.includes('takes nothing'))!
  expect(JSON.parse(line)).toMatchObject({ deploymentId: id })
  expect((JSON.parse(line) as { waitingBytes: number }).waitingBytes).toBeLessThan(2 * 2 ** 20)
  let rest = ''
  stuck.on('data', (chunk: Buffer) => (rest = (rest + chunk.toString()).slice(-500))).resume()
  await new Promise((resolve) => stuck.once('close', resolve).on('error', () => {}))
  expect(rest === '' || /too-slow|x$/.test(rest)).toBe(true)
})

test('a reader that takes nothing of the end is disconnected too, and nothing is written to it afterwards', async () => {
  await using http = await startHttp()
  const deployment = await http.create()
  await http.play(toBuildFailed)
  const response = new ServerResponse(new IncomingMessage(new Socket()))
  // accepts data, and never reports it as sent
  const line = new Duplex({ read: () => {}, write: () => {} })
  response.assignSocket(line as Socket)
  const errors: unknown[] = []
  response.on('error', (error) => errors.push(error))
  const parts = {
    store: http.store,
    awake: http.awake,
    stopping: new AbortController().signal,
    heartbeatMs: 50,
    log: openLog('silent'),
  }
  sendLog(response, parts, deployment, {
    after: 0,
    type: 'text/event-stream',
    filter: everything,
    rightEnds: null,
  })
  await expect.poll(() => response.destroyed).toBe(true)
  expect([response.writableEnded, errors]).toEqual([true, []])
})

test('a WebSocket is refused like any request', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  await expect(readSocket(`${http.url}/v1/deployments/${id}/events`, {})).rejects.toThrow('401')
  await expect(readSocket(`${http.url}/v1/deployments/none/events`)).rejects.toThrow('404')
  // not a log: served as plain HTTP
  await expect(readSocket(`${http.url}/v1/deployments/${id}`)).rejects.toThrow('200')
})

test('a stuck WebSocket reader is disconnected, and so is one that sends too much', async () => {
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
  for (let index = 0; index < 20; index++)
    await more({ type: 'log', step: null, stream: 'stdout', text })
  const dropped = new Promise((resolve) => stuck.once('close', resolve).once('error', resolve))
  await new Promise((resolve) => setTimeout(resolve, 200))
  stuck.resume()
  await dropped

  const other = await http.create()
  const loud = new WebSocket(
    `${http.url.replace('http', 'ws')}/v1/deployments/${other.id}/events`,
    { headers: authorization },
  )
  loud.on('open', () => loud.send('x'.repeat(5000)))
  expect(await new Promise((resolve) => loud.once('close', resolve))).toBe(1009)
})

test('an idle connection gets heartbeats', async () => {
  await using http = await startHttp({ heartbeatMs: 20 })
  const { id } = await http.create()
  const open = ['text/event-stream', 'application/x-ndjson', 'text/plain'].map((Accept) =>
    http.get(`/v1/deployments/${id}/events`, { Accept }),
  )
  await new Promise((resolve) => setTimeout(resolve, 500))
  await http.play(toLive)
  const [sse, ndjson, text] = await Promise.all(open.map(async (answer) => (await answer).text()))
  expect(sse).toContain('\n: still here\n\n')
  expect(ndjson).toContain('}\n\n')
  expect(text).toContain('   still pending\n')
})

test('a reader that takes nothing delays nobody and costs no memory', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const slow = await http.get(`/v1/deployments/${id}/events`)
  const { more, holder } = await http.play([['analyzing']])
  const text = 'x'.repeat(2 ** 20)
  const before = process.memoryUsage().rss
  for (let index = 0; index < 100; index++)
    await more({ type: 'log', step: null, stream: 'stdout', text })
  await http.store.advance(holder, 'analyzing', 'build_failed', {})
  const quick = await (await http.get(`/v1/deployments/${id}/events?after=103`)).text()
  expect(quick).toContain('"build_failed"')
  expect(process.memoryUsage().rss - before).toBeLessThan(400 * 2 ** 20)
  await slow.body!.cancel()
})
