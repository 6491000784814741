import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import { FlyCalls } from '#fly/fly-calls.ts'
import { ignored } from '#fly/answers.ts'
import { fetchTransport } from '#fly/transport.ts'
import { undiciTransport } from '#fly/undici-transport.ts'
import { portOf } from '../../gateway/src/host/port-of.ts'

const signal = AbortSignal.timeout(60_000)
const create = { method: 'POST', path: '/things', action: 'create', id: 'a' } as const

/** Answers each request by the next of these, and keeps what it got. */
async function server(...answers: [status: number, body: string][]) {
  const got: { method: string | undefined; body: string; nonce: unknown }[] = []
  const http = createServer(async (request, response) => {
    const body = Buffer.concat(await Array.fromAsync(request as AsyncIterable<Buffer>)).toString()
    const { method, headers } = request
    got.push({ method, body, nonce: headers['fly-machine-lease-nonce'] })
    const [status, text] = answers.shift() ?? [0, '']
    if (status === 0) return void request.socket.destroy()
    response.writeHead(status, { 'fly-request-id': '01A', 'retry-after': '1' })
    response.end(text)
  })
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done))
  const close = () => {
    http.closeAllConnections()
    http.close()
  }
  return { got, baseUrl: `http://127.0.0.1:${portOf(http)}`, [Symbol.dispose]: close }
}

test.for([
  { name: 'undici', open: undiciTransport },
  { name: 'fetch', open: fetchTransport },
])(
  '$name: answers, refusals, cut connections and addresses where nobody listens',
  { timeout: 30_000 },
  async ({ open }) => {
    using fly = await server([200, '{"a":1}'], [429, '{}'], [200, '{}'], [422, '{"error":"full"}'])
    const endpoint = (baseUrl: string) => ({ baseUrl, token: 't', transport: open() })
    await using calls = new FlyCalls(endpoint(fly.baseUrl))
    const body = { name: 'ü' }
    const make = (more = {}) =>
      calls.call({ ...create, body, nonce: 'n', answer: ignored, repeat: 'no', ...more }, signal)
    expect(await make()).toEqual({ a: 1 })
    expect(fly.got[0]).toEqual({ method: 'POST', body: '{"name":"ü"}', nonce: 'n' })
    expect(await make()).toEqual({})
    await expect(make()).rejects.toMatchObject({
      code: 'fly-refused',
      facts: { status: 422, fly: 'full', requestId: '01A' },
    })
    await expect(make()).rejects.toMatchObject({ code: 'fly-unavailable' })
    expect(fly.got).toHaveLength(5)

    await using nowhere = new FlyCalls(endpoint('http://127.0.0.1:1'))
    await expect(
      nowhere.call({ ...create, answer: ignored, repeat: 'no' }, signal),
    ).rejects.toMatchObject({ code: 'fly-unavailable' })
  },
)

test('an answer that does not begin in time is no answer', async () => {
  const http = createServer(() => {})
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done))
  const url = `http://127.0.0.1:${portOf(http)}/`
  for (const open of [undiciTransport, fetchTransport]) {
    await using transport = open()
    const asked = { method: 'GET', url, headers: {}, body: undefined, answerMs: 50 }
    await expect(transport.send(asked, signal)).rejects.toThrow()
  }
  http.closeAllConnections()
  http.close()
})
