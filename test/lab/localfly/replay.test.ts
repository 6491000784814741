import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { portOf } from '../../../gateway/src/host/port-of.ts'
import { createProxy } from '../../../lab/localfly/proxy/proxy.ts'
import { readReplay } from '../../../lab/localfly/proxy/replay.ts'
import { type App, FlyState, type Machine } from '../../../lab/localfly/state.ts'
import { Traffic } from '../../../lab/localfly/proxy/traffic.ts'
import { aMachine } from './machine.ts'

/** The proxy over machines that are servers of this test. */
async function startProxy() {
  const open = new AsyncDisposableStack()
  const dir = mkdtempSync(join(tmpdir(), 'replay-'))
  open.defer(() => rmSync(dir, { recursive: true }))
  const state = new FlyState(dir)
  const started: string[] = []
  const flyd = {
    start: (machine: Machine) => {
      started.push(machine.id)
      machine.state = 'starting'
      setImmediate(() => {
        machine.state = 'started'
        state.save(machine)
      })
      return 'stopped' as const
    },
  }
  const traffic = new Traffic({ state, flyd, hostile: { isGone: () => false } })
  const listen = async (server: ReturnType<typeof createServer>) => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.defer(() => (server.closeAllConnections(), void server.close()))
    return portOf(server)
  }
  const port = await listen(createProxy(state, traffic))

  const app = (name: string, org_slug = 'personal') =>
    state.apps.set(name, { name, org_slug, network: 'default', ips: [] } as unknown as App)
  app('shop')
  app('worker')
  app('foreign', 'acme')

  return {
    state,
    started,
    port,
    async machine(
      id: string,
      answer: RequestListener | string = id,
      {
        of = 'shop',
        ports = [80],
        ...more
      }: Partial<Machine> & { of?: string; ports?: number[] } = {},
    ) {
      const listener: RequestListener =
        typeof answer === 'string' ? (_req, res) => void res.end(answer) : answer
      const internal_port = await listen(createServer(listener))
      const services = [{ internal_port, ports: ports.map((each) => ({ port: each })) }]
      const own = { ...aMachine().own, app: of }
      const config = { image: 'x', services }
      const made = aMachine({ id, private_ip: '127.0.0.1', own, config, ...more })
      state.machines.set(id, made)
      return made
    },
    async ask(headers: Record<string, string> = {}, body?: string | Buffer) {
      const call = request({
        host: '127.0.0.1',
        port,
        method: body === undefined ? 'GET' : 'POST',
        headers: { host: 'shop.localhost', ...headers },
      }).end(body)
      const [answer] = (await once(call, 'response')) as [IncomingMessage]
      return { status: answer.statusCode, body: await text(answer) }
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

const replays =
  (header: string): RequestListener =>
  (req, res) => {
    const answer = () => res.setHeader('fly-replay', header).end('not for the caller')
    req.resume().once('end', answer)
  }
const echo: RequestListener = async (req, res) =>
  void res.end(`${String(req.headers['fly-replay-src'])} ${await text(req)}`)

test('an answer with fly-replay sends the request on, with its body and its source', async () => {
  await using fly = await startProxy()
  await fly.machine('front', replays('instance=back;state=a b'), { region: 'ams' })
  await fly.machine('back', echo)
  const { body } = await fly.ask({ 'fly-force-instance-id': 'front' }, 'the body')
  expect(body).toMatch(/^instance=front;region=ams;t=\d{16};state=a b the body$/)
})

test('a replay reaches another app of the organisation, and wakes its machine', async () => {
  await using fly = await startProxy()
  await fly.machine('front', replays('app=worker'))
  await fly.machine('back', 'worker', { of: 'worker', state: 'stopped' })
  expect(await fly.ask()).toEqual({ status: 200, body: 'worker' })
  expect(fly.started).toEqual(['back'])
})

test('a replay names regions in order of preference', async () => {
  await using fly = await startProxy()
  await fly.machine('front', replays('region="nrt,iad,any"'), { region: 'ams' })
  await fly.machine('iad', 'iad', { region: 'iad' })
  const from = { 'fly-force-instance-id': 'front' }
  expect((await fly.ask(from)).body).toBe('iad')
  await fly.machine('front', replays('region=nrt'), { region: 'ams' })
  expect(await fly.ask(from)).toMatchObject({ status: 503 })
})

test('a request of more than 1 MB is not replayed; it reaches the first machine whole', async () => {
  await using fly = await startProxy()
  await fly.machine('front', replays('instance=back'))
  await fly.machine('back', echo)
  const headers = { 'fly-force-instance-id': 'front' }
  expect(await fly.ask(headers, Buffer.alloc(1_000_000, 'a'))).toMatchObject({ status: 200 })
  expect(await fly.ask(headers, Buffer.alloc(1_000_001, 'a'))).toMatchObject({
    status: 502,
    body: expect.stringContaining('cannot be replayed'),
  })
  const whole = await fly.ask({ 'fly-force-instance-id': 'back' }, Buffer.alloc(3_000_000, 'a'))
  expect(whole.body.length).toBeGreaterThan(3_000_000)
})

test('replays end after ten, and those to nowhere fail with Fly’s code', async () => {
  await using fly = await startProxy()
  let asked = 0
  const front = (header: string) =>
    fly.machine('front', (req, res) => (asked++, replays(header)(req, res)))
  await front('app=shop')
  expect(await fly.ask()).toMatchObject({ status: 502, body: expect.stringContaining('PA02') })
  expect(asked).toBe(11)
  for (const [header, code] of [
    ['app=unknown', 'PA04'],
    ['app=foreign', 'PA05'],
    ['instance', 'PA03'],
    ['region="ams', 'PA03'],
    ['colour=red', 'PA03'],
  ] as const) {
    await front(header)
    expect(await fly.ask()).toMatchObject({ status: 502, body: expect.stringContaining(code) })
  }
})

test('a replay with a timeout gives up its target after that', async () => {
  await using fly = await startProxy()
  await fly.machine('front', replays('instance=silent;timeout=50ms'))
  const silent = await fly.machine('silent')
  silent.config.services![0]!.internal_port = 1
  expect(await fly.ask({ 'fly-force-instance-id': 'front' })).toEqual({
    status: 502,
    body: 'The replay found no machine within 50 ms.\n',
  })
})

test('a caller prefers or forces a region, and prefers a machine', async () => {
  await using fly = await startProxy()
  await fly.machine('ams', 'ams', { region: 'ams' })
  await fly.machine('iad', 'iad', { region: 'iad' })
  for (const [headers, body] of [
    [{ 'fly-prefer-region': 'iad' }, 'iad'],
    [{ 'fly-force-region': 'ams' }, 'ams'],
    [{ 'fly-prefer-instance-id': 'iad' }, 'iad'],
  ] as const)
    for (let times = 0; times < 3; times++) expect((await fly.ask(headers)).body).toBe(body)
  expect((await fly.ask({ 'fly-prefer-region': 'nrt' })).status).toBe(200)
  expect((await fly.ask({ 'fly-force-region': 'nrt' })).status).toBe(503)
  expect((await fly.ask({ 'fly-prefer-instance-id': 'gone' })).status).toBe(200)
})

test('over Flycast the port that was called chooses the service', async () => {
  await using fly = await startProxy()
  await fly.machine('a', 'a', { ports: [80, fly.port] })
  expect(await fly.ask({ host: 'shop.flycast' })).toEqual({ status: 200, body: 'a' })
  await fly.machine('a', 'a', { ports: [80] })
  expect((await fly.ask({ host: 'shop.flycast' })).status).toBe(503)
})

test('a field may be quoted', () => {
  expect(readReplay('app="x" ; region="a,b";elsewhere=true;')).toEqual({
    app: 'x',
    region: 'a,b',
    elsewhere: 'true',
  })
})
