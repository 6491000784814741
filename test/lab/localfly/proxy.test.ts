import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, request, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { Autostop } from '../../../lab/localfly/proxy/autostop.ts'
import { createProxy } from '../../../lab/localfly/proxy/proxy.ts'
import { FlyState, type Machine } from '../../../lab/localfly/state.ts'
import { Traffic } from '../../../lab/localfly/proxy/traffic.ts'
import { aMachine } from './machine.ts'
import { portOf } from '../../../gateway/src/host/port-of.ts'

const dir = mkdtempSync(join(tmpdir(), 'proxy-'))
afterAll(() => rmSync(dir, { recursive: true }))

let open: AsyncDisposableStack
let state: FlyState
let proxyPort: number
let traffic: Traffic
const gone = new Set<string>()
const move = (machine: Machine, to: Machine['state']) => {
  machine.state = to
  state.save(machine)
}
const flyd = {
  start: (machine: Machine) => {
    move(machine, 'starting')
    setTimeout(move, 50, machine, 'started')
    return 'stopped' as const
  },
  stop: (machine: Machine) => move(machine, 'stopped'),
  suspend: (machine: Machine) => move(machine, 'suspended'),
}

beforeEach(async () => {
  open = new AsyncDisposableStack()
  state = new FlyState(mkdtempSync(join(dir, 'state-')))
  state.apps.set('shop', { hostnames: [], ips: [] } as never)
  gone.clear()
  traffic = new Traffic({ state, flyd, hostile: { isGone: ({ id }) => gone.has(id) } })
  proxyPort = await listening(createProxy(state, traffic))
})
afterEach(() => open.disposeAsync())

test('requests go to the least loaded machine', async () => {
  await machine('a', { answer: slowly(300) })
  await machine('b')
  const both = [page(), page()]
  await sleep(50)
  for (let i = 0; i < 4; i++) expect((await page()).body).toBe('b')
  const bodies = (await Promise.all(both)).map(({ body }) => body)
  expect(new Set(bodies)).toEqual(new Set(['a', 'b']))
})

test('at the hard limit a request waits for a slot', async () => {
  let most = 0
  let now = 0
  const answer: RequestListener = (_req, res) => {
    most = Math.max(most, ++now)
    setTimeout(() => (now--, res.end('a')), 30)
  }
  await machine('a', { answer, service: { concurrency: { soft_limit: 1, hard_limit: 2 } } })
  expect(
    (await Promise.all(Array.from({ length: 8 }, () => page()))).map(({ status }) => status),
  ).toEqual(Array(8).fill(200))
  expect(most).toBe(2)
})

test('when all running machines are over the soft limit, a sleeping one is started', async () => {
  await machine('a', { answer: slowly(200), service: { concurrency: { soft_limit: 1 } } })
  const b = await machine('b', { state: 'stopped' })
  const both = [page(), page()]
  await expect.poll(() => b.state).toBe('started')
  expect((await page()).body).toBe('b')
  await Promise.all(both)
})

test('when all machines sleep, a request starts one and waits for it, unless the service forbids it or the machine is cordoned', async () => {
  const a = await machine('a', { state: 'stopped', service: { autostart: false } })
  expect(await page()).toMatchObject({ status: 503, body: expect.stringContaining('a is stopped') })
  const b = await machine('b', { state: 'suspended' })
  b.cordoned = true
  expect((await page()).status).toBe(503)
  b.cordoned = false
  expect(await page()).toMatchObject({ status: 200, body: 'b' })
  expect(a.state).toBe('stopped')
})

test('a request that woke a machine waits while it fails its check, until its program listens', async () => {
  const a = await machine('a', { state: 'stopped' })
  const failing = { name: 'servicecheck-00-http-80', output: 'refused', updated_at: '' }
  a.checks = [{ ...failing, status: 'critical' }]
  const waiting = page()
  await expect.poll(() => a.state).toBe('started')
  await sleep(150)
  a.checks = [{ ...failing, status: 'passing' }]
  expect(await waiting).toMatchObject({ status: 200, body: 'a' })
  a.checks = [{ ...failing, status: 'critical' }]
  expect((await page()).status).toBe(503)
})

test('a cordoned machine, one with a failing check and one whose host is lost get no requests', async () => {
  const a = await machine('a')
  const b = await machine('b')
  await machine('c')
  await machine('d')
  a.cordoned = true
  b.checks = [
    { name: 'servicecheck-00-http-80', status: 'critical', output: '500', updated_at: '' },
  ]
  gone.add('c')
  expect(
    new Set((await Promise.all(Array.from({ length: 8 }, () => page()))).map(({ body }) => body)),
  ).toEqual(new Set(['d']))
})

test('a machine that refuses the connection is skipped, or awaited when there is no other', async () => {
  const a = await machine('a', { port: 1 })
  await machine('b')
  for (let i = 0; i < 4; i++) expect((await page()).body).toBe('b')
  state.machines.delete('b')
  const waiting = page()
  await sleep(100)
  a.config.services![0]!.internal_port = await listening(
    createServer((_req, res) => void res.end('a')),
    '0.0.0.0',
  )
  expect((await waiting).body).toBe('a')
})

test('when a machine breaks off before it answers, a request without a body goes to another, and one with a body gets 502', async () => {
  await machine('a', { answer: (req) => void req.socket.destroy() })
  await machine('b')
  for (let i = 0; i < 4; i++) expect((await page()).body).toBe('b')
  const posted = await Promise.all([page('shop', 'POST'), page('shop', 'POST')])
  expect(new Set(posted.map(({ status }) => status))).toEqual(new Set([200, 502]))
  state.machines.delete('b')
  expect((await page()).status).toBe(502)
})

test('a WebSocket outlives the cordon of its machine, counts as its load, and is cut when the machine ends', async () => {
  const server = createServer()
  const sockets: Duplex[] = []
  server.on('upgrade', (_req, socket: Duplex) => {
    sockets.push(socket)
    socket.on('error', () => {}).pipe(socket)
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n')
  })
  const a = await machine('a', { port: await listening(server, '0.0.0.0') })
  const headers = { host: `shop.localhost:${proxyPort}`, connection: 'upgrade', upgrade: 'echo' }
  const call = request({ host: '127.0.0.1', port: proxyPort, headers }).end()
  const [, client] = (await once(call, 'upgrade')) as [unknown, Duplex]
  expect(traffic.load(a)).toBe(1)

  a.cordoned = true
  client.write('still there')
  expect(String((await once(client, 'data'))[0])).toBe('still there')

  for (const socket of sockets) socket.destroy()
  await once(client, 'close')
  expect(traffic.load(a)).toBe(0)
})

test('no metadata of a machine keeps requests from it, and no host name but the app’s leads to it', async () => {
  await machine('a')
  await machine('b', { metadata: { tarmac_owner: 'Ada' } })
  const bodies = new Set<string>()
  for (let i = 0; i < 4; i++) bodies.add((await page()).body)
  expect(bodies).toEqual(new Set(['a', 'b']))
  expect((await page('ada.shop')).status).toBe(404)
  expect((await page('shop', 'GET', { 'fly-force-instance-id': 'b' })).body).toBe('b')
})

test('a peer in the app’s network reaches a machine by its internal name while it runs', async () => {
  await machine('a')
  const b = await machine('b', { metadata: { role: 'Db' } })
  const name = 'db.role.kv._metadata.shop.internal'
  expect((await page(name)).body).toBe('b')
  move(b, 'stopped')
  expect(await page(name)).toMatchObject({
    status: 502,
    body: `No machine has the name ${name}.\n`,
  })
  expect(b.state).toBe('stopped')
})

test('an idle machine that cannot be suspended is stopped, and one that is being suspended wakes at once', async () => {
  using autostop = new Autostop({ state, flyd, traffic })
  const service = { autostop: 'suspend' }
  const large = await machine('large', { service })
  large.config.guest = { memory_mb: 4096 }
  autostop.set(100)
  await expect.poll(() => large.state).toBe('stopped')
  autostop.set(300_000)

  move(large, 'destroyed')
  await machine('small', { service, state: 'suspending' })
  expect((await page()).body).toBe('small')
})

test('an idle machine is stopped while enough others run; one that answers is left alone', async () => {
  using autostop = new Autostop({ state, flyd, traffic })
  autostop.set(100)
  const service = { autostop: 'suspend', min_machines_running: 1 }
  const a = await machine('a', { service, answer: slowly(500) })
  const busy = page()
  await expect.poll(() => traffic.load(a)).toBe(1)

  const b = await machine('b', { service })
  const c = await machine('c', { service: {} })
  await expect.poll(() => b.state).toBe('suspended')
  await busy
  await sleep(400)
  expect([a.state, b.state, c.state]).toEqual(['started', 'suspended', 'started'])
  a.config.services![0]!.min_machines_running = 0
  await expect.poll(() => a.state).toBe('suspended')
})

const slowly =
  (ms: number): RequestListener =>
  (_req, res) =>
    void setTimeout(() => res.end('a'), ms)

let machines = 0
type FakeMachine = {
  state?: Machine['state']
  port?: number
  answer?: RequestListener
  service?: object
  metadata?: Record<string, string>
}

/** Makes a machine of the app. Its name is also its page. */
async function machine(id: string, about: FakeMachine = {}): Promise<Machine> {
  const { answer = (_req, res) => void res.end(id), metadata = {} } = about
  const internal_port = about.port ?? (await listening(createServer(answer), '0.0.0.0'))
  const own = { ...aMachine().own, app: 'shop' }
  const config = { image: 'x', metadata, services: [{ internal_port, ...about.service }] }
  const made = aMachine({
    id,
    name: id,
    private_ip: `127.0.0.${++machines}`,
    state: about.state ?? 'started',
    own,
    config,
  })
  state.machines.set(id, made)
  return made
}

async function page(name = 'shop', method = 'GET', more: Record<string, string> = {}) {
  const headers = { host: `${name}.localhost:${proxyPort}`, ...more }
  const call = request({ host: '127.0.0.1', port: proxyPort, method, headers }).end(
    method === 'POST' ? 'body' : undefined,
  )
  const [answer] = await once(call, 'response')
  return { status: answer.statusCode as number, body: await text(answer) }
}

async function listening(
  server: ReturnType<typeof createServer>,
  host = '127.0.0.1',
): Promise<number> {
  server.listen(0, host)
  await once(server, 'listening')
  open.defer(() => (server.closeAllConnections(), void server.close()))
  return portOf(server)
}
