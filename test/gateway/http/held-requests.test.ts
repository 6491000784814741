import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { fill, routes } from '#api/routes.ts'
import { authorization, startHttp, toLive } from './start-http.ts'

const holdsOf = async (http: Awaited<ReturnType<typeof startHttp>>) =>
  (await http.awake.look()).counts

/** A store whose records can be read only when the test says so. */
function slowly() {
  const gate = Promise.withResolvers<void>()
  const deployments = async () => {
    await gate.promise
    return { deployments: [], next: null }
  }
  return { deployments, open: gate.resolve }
}

test('a request with a token keeps the gateway awake until its answer has ended', async () => {
  const { deployments, open } = slowly()
  await using http = await startHttp({ deployments })
  const asked = http.get('/v1/apps/shop/deployments')
  await expect.poll(() => holdsOf(http)).toEqual({ requests: 1 })
  open()
  await (await asked).text()
  await expect.poll(() => holdsOf(http)).toEqual({})
})

test('health checks, looks at the gateway and strangers do not keep it awake', async () => {
  await using http = await startHttp()
  const { idleMs } = await http.awake.look()
  const strange = { Authorization: 'Bearer a-wrong-token-of-16' }
  expect((await fetch(`${http.url}${routes.health}`)).status).toBe(200)
  expect((await http.get(routes.health)).status).toBe(200)
  expect((await http.get(routes.ready)).status).toBe(200)
  expect((await http.get('/v1/apps/shop/deployments', strange)).status).toBe(401)
  const look = await http.awake.look()
  expect(look.counts).toEqual({})
  expect(look.idleMs).toBeGreaterThan(idleMs) // it did not begin again
  await (await http.get('/v1/apps/shop/deployments')).text()
  await expect.poll(async () => (await http.awake.look()).idleMs < look.idleMs).toBe(true)
})

test('readers of a log count as readers, over HTTP and WebSocket, until they leave', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const path = fill(routes.events, { id })
  const leaving = new AbortController()
  const reading = fetch(`${http.url}${path}`, {
    headers: { ...authorization, accept: 'application/x-ndjson' },
    signal: leaving.signal,
  })
  const socket = new WebSocket(`${http.url.replace('http', 'ws')}${path}`, {
    headers: authorization,
  })
  await once(socket, 'open')
  await reading
  expect(await holdsOf(http)).toEqual({ readers: 2 })
  leaving.abort()
  socket.close()
  await expect.poll(() => holdsOf(http)).toEqual({})
})

test('a reader of a log that ends keeps the gateway awake no longer than that', async () => {
  await using http = await startHttp()
  const { id } = await http.create()
  const reading = http.get(fill(routes.events, { id }), { accept: 'text/event-stream' })
  await expect.poll(() => holdsOf(http)).toEqual({ readers: 1 })
  await http.play(toLive)
  await (await reading).text()
  await expect.poll(() => holdsOf(http)).toEqual({})
})

test('it stops listening only while no connection is open', async () => {
  await using http = await startHttp()
  const line = connect(http.port, '127.0.0.1')
  const ask = async (...more: string[]) => {
    line.write(['GET /healthz HTTP/1.1', 'Host: localhost', ...more, '', ''].join('\r\n'))
    return String((await once(line, 'data'))[0])
  }
  await ask()
  expect(http.stopAccepting()).toBe(false)
  expect(await ask('Connection: close')).toContain('200 OK') // the connection is served on
  await expect.poll(() => http.stopAccepting()).toBe(true)
  await expect(fetch(`${http.url}/healthz`)).rejects.toThrow('fetch failed')
})
