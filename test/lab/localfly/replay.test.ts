import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { portOf } from '../../../gateway/src/host/port-of.ts'
import { createProxy } from '../../../lab/localfly/proxy/proxy.ts'
import { ReplayCache } from '../../../lab/localfly/proxy/replay-cache.ts'
import { readReplay, type Replay } from '../../../lab/localfly/proxy/replay.ts'
import { type App, FlyState, type Machine } from '../../../lab/localfly/state.ts'
import { type Target, Traffic } from '../../../lab/localfly/proxy/traffic.ts'
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
  const stallMs = 100
  const port = await listen(createProxy(state, traffic, { stallMs }))
  const flycastPort = await listen(createProxy(state, traffic, { flycast: true, stallMs }))

  const app = (name: string, { org_slug = 'personal', network = 'default' } = {}) => {
    const ips = [{ ip: 'fdaa::1', network, org_slug }]
    state.apps.set(name, { name, org_slug, network, ips, hostnames: [] } as unknown as App)
  }
  app('shop')
  app('worker')
  app('foreign', { org_slug: 'acme' })
  app('apart', { network: 'ada' })

  return {
    state,
    started,
    listen,
    port,
    flycastPort,
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
    async ask(headers: Record<string, string> = {}, body?: string | Buffer, at = port) {
      const { path = '/', ...sent } = headers
      const call = request({
        host: '127.0.0.1',
        port: at,
        path,
        method: body === undefined ? 'GET' : 'POST',
        headers: { host: 'shop.localhost', ...sent },
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
  expect(await fly.ask(from)).toMatchObject({ status: 502 })
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

test('a caller who forces a machine wakes that one; without autostart, or with an unknown id, it gets 503', async () => {
  await using fly = await startProxy()
  await fly.machine('runs')
  const asleep = await fly.machine('asleep', 'asleep', { state: 'suspended' })
  const forced = { 'fly-force-instance-id': 'asleep' }
  expect(await fly.ask(forced)).toEqual({ status: 200, body: 'asleep' })
  expect(fly.started).toEqual(['asleep'])
  asleep.state = 'stopped'
  asleep.config.services![0]!.autostart = false
  expect((await fly.ask(forced)).status).toBe(503)
  expect((await fly.ask({ 'fly-force-instance-id': 'unknown' })).status).toBe(503)
  expect(fly.started).toEqual(['asleep'])
})

test('a replay to a group of regions takes one of them', async () => {
  await using fly = await startProxy()
  await fly.machine('front', replays('region=eu'), { region: 'iad' })
  await fly.machine('back', 'fra', { region: 'fra' })
  expect((await fly.ask({ 'fly-force-instance-id': 'front' })).body).toBe('fra')
})

test('a replay stays in the network of the app, unless the organisation allows others', async () => {
  await using fly = await startProxy()
  await fly.machine('front', replays('app=apart'))
  await fly.machine('back', 'back', { of: 'apart' })
  expect(await fly.ask()).toMatchObject({
    status: 502,
    body: expect.stringContaining('Cross-network replays are not allowed'),
  })
  fly.state.crossNetworkReplays.add('personal')
  expect((await fly.ask()).body).toBe('back')
})

test('a replay to one machine wakes that one, and one to an unknown machine fails', async () => {
  await using fly = await startProxy()
  await fly.machine('front', replays('app=worker;instance=second'))
  for (const id of ['first', 'second', 'third'])
    await fly.machine(id, id, { of: 'worker', state: 'stopped' })
  expect((await fly.ask()).body).toBe('second')
  expect(fly.started).toEqual(['second'])

  await fly.machine('front', replays('app=worker;instance=unknown'))
  expect(await fly.ask()).toMatchObject({ status: 502, body: expect.stringContaining('unknown') })
})

test('a preferred machine that sleeps is the one that wakes; another one learns which was preferred', async () => {
  await using fly = await startProxy()
  await fly.machine('front', replays('app=worker;prefer_instance=second'))
  const preferred: RequestListener = (req, res) =>
    void res.end(String(req.headers['fly-preferred-instance-unavailable']))
  for (const id of ['first', 'second'])
    await fly.machine(id, preferred, { of: 'worker', state: 'stopped' })
  expect((await fly.ask()).body).toBe('undefined')
  expect(fly.started).toEqual(['second'])

  await fly.machine('front', replays('app=worker;prefer_instance=gone'))
  expect((await fly.ask()).body).toBe('gone')
  await fly.machine('front', preferred)
  expect((await fly.ask({ 'fly-prefer-instance-id': 'gone' })).body).toBe('gone')
})

test('elsewhere leaves out the machine that answered', async () => {
  await using fly = await startProxy()
  await fly.machine('front', replays('elsewhere=true'))
  await fly.machine('back')
  for (let times = 0; times < 3; times++)
    expect((await fly.ask({ 'fly-force-instance-id': 'front' })).body).toBe('back')
})

test('a failed replay falls back to the machine that asked for it, which learns why', async () => {
  await using fly = await startProxy()
  const fallback =
    (header: string): RequestListener =>
    (req, res) => {
      const failed = req.headers['fly-replay-failed']
      if (failed === undefined) return void res.setHeader('fly-replay', header).end()
      res.end(`${String(req.headers['x-mine'])} ${String(failed)}`)
    }
  await fly.machine('front', fallback('app=worker;instance=gone;fallback=force_self'))
  const { body } = await fly.ask({ 'x-mine': 'kept' })
  expect(body).toMatch(
    /^kept instance=gone;app=worker;replay_source=front;reason=no_candidate;elapsed_ms=\d+$/,
  )

  await fly.machine('silent', 'never', { of: 'worker' })
  fly.state.machines.get('silent')!.config.services![0]!.internal_port = 1
  await fly.machine('front', fallback('app=worker;timeout=50ms;fallback=prefer_self'))
  expect((await fly.ask()).body).toContain('reason=timeout')

  await fly.machine('front', replays('app=worker;timeout=50ms;fallback=force_self'))
  expect(await fly.ask()).toMatchObject({ status: 502, body: expect.stringContaining('fallback') })
  await fly.machine('front', replays('app=worker;fallback=me'))
  expect(await fly.ask()).toMatchObject({ status: 502, body: expect.stringContaining('PA03') })
})

test('a replay as JSON changes path and headers; the body of the request stays', async () => {
  await using fly = await startProxy()
  const replay = {
    app: 'worker',
    state: 's',
    transform: {
      path: '/new?a=b',
      delete_headers: ['Cookie'],
      set_headers: [{ name: 'X-Owner', value: 'ada' }],
    },
  }
  const json =
    (text: string): RequestListener =>
    (req, res) => {
      res.setHeader('content-type', 'application/vnd.fly.replay+json')
      req.resume().once('end', () => res.end(text))
    }
  await fly.machine('front', json(JSON.stringify(replay)))
  const seen: RequestListener = async (req, res) => {
    const { cookie, 'x-owner': owner, 'fly-replay-src': source } = req.headers
    res.end(JSON.stringify([req.url, cookie, owner, source, await text(req)]))
  }
  await fly.machine('back', seen, { of: 'worker' })
  const { body } = await fly.ask({ cookie: 'a=1', path: '/old' }, 'the body')
  expect(JSON.parse(body)).toEqual([
    '/new?a=b',
    null,
    'ada',
    expect.stringContaining('state=s'),
    'the body',
  ])
  for (const wrong of ['{', '{"app": {}}', '{"transform": {"path": "x"}}']) {
    await fly.machine('front', json(wrong))
    expect(await fly.ask()).toMatchObject({ status: 502, body: expect.stringContaining('PA03') })
  }
})

test('an upgrade is replayed to the machine that takes it', async () => {
  await using fly = await startProxy()
  await fly.machine('front', replays('app=worker;instance=back'))
  const back = await fly.machine('back', 'back', { of: 'worker', state: 'stopped' })
  const source: (string | undefined)[] = []
  const echo = createServer().on('upgrade', (req, socket) => {
    source.push(req.headers['fly-replay-src']?.toString())
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n')
    socket.on('error', () => {}).pipe(socket)
  })
  back.config.services![0]!.internal_port = await fly.listen(echo)
  const headers = { host: 'shop.localhost', connection: 'upgrade', upgrade: 'echo' }
  const call = request({ host: '127.0.0.1', port: fly.port, headers }).end()
  const [, client] = (await once(call, 'upgrade')) as [IncomingMessage, Duplex]
  client.write('there')
  expect(String((await once(client, 'data'))[0])).toBe('there')
  client.destroy()
  expect(source).toEqual([expect.stringMatching(/^instance=front;/)])
  expect(fly.started).toEqual(['back'])

  await fly.machine('front', (_req, res) => void res.writeHead(403).end('no upgrade'))
  const refused = request({ host: '127.0.0.1', port: fly.port, headers }).end()
  const [answer] = (await once(refused, 'response')) as [IncomingMessage]
  expect([answer.statusCode, await text(answer)]).toEqual([403, 'no upgrade'])
})

test('over Flycast the port that was called chooses the service, also that of a replay’s target', async () => {
  await using fly = await startProxy()
  const ask = (host = 'shop.flycast') => fly.ask({ host }, undefined, fly.flycastPort)
  await fly.machine('a', 'a', { ports: [80, fly.flycastPort] })
  expect(await ask()).toEqual({ status: 200, body: 'a' })
  await fly.machine('a', 'a', { ports: [80] })
  expect((await ask()).status).toBe(503)

  await fly.machine('a', replays('app=worker'), { ports: [fly.flycastPort] })
  await fly.machine('b', 'wrong service', { of: 'worker', ports: [80] })
  expect((await ask()).status).toBe(502)
  await fly.machine('b', 'b', { of: 'worker', ports: [fly.flycastPort] })
  expect((await ask()).body).toBe('b')
})

test('Flycast gives a caller of another network no answer at all', async () => {
  await using fly = await startProxy()
  await fly.machine('caller')
  await fly.machine('a', 'a', { of: 'apart', ports: [fly.flycastPort] })
  for (const host of ['apart.flycast', 'apart.localhost', 'unknown.flycast'])
    await expect(fly.ask({ host }, undefined, fly.flycastPort)).rejects.toThrow('socket hang up')
  expect((await fly.ask({ host: 'shop.flycast' })).status).toBe(404)
})

test('a cached replay goes to its target at once, for its path and its time', async () => {
  await using fly = await startProxy()
  let asked = 0
  const front = (more: Record<string, string>) =>
    fly.machine('front', (_req, res) => {
      asked++
      for (const [name, value] of Object.entries(more)) res.setHeader(name, value)
      res.setHeader('fly-replay', 'app=worker').end()
    })
  const status: RequestListener = (req, res) => {
    if (req.url === '/a/forget' && req.headers['fly-replay-cache-status'] === 'hit')
      return void res
        .setHeader('fly-replay', 'app=shop')
        .setHeader('fly-replay-cache', 'invalidate')
        .end()
    res.end(
      `${String(req.headers['fly-replay-cache-status'])} ${req.headers['fly-replay-src'] !== undefined}`,
    )
  }
  await fly.machine('back', status, { of: 'worker' })
  await front({ 'fly-replay-cache': '/a/*', 'fly-replay-cache-ttl-secs': '10' })
  const page = async (path: string, more = {}) => (await fly.ask({ path, ...more })).body
  expect(await page('/a/x')).toBe('miss true')
  expect(await page('/a/y')).toBe('hit false')
  expect(await page('/b')).toBe('miss true')
  expect(await page('/a/y', { host: 'apart.localhost' })).not.toContain('hit')
  expect(await page('/a/y', { 'fly-replay-cache-control': 'skip' })).toBe('hit false')
  expect(asked).toBe(2)
  // Its target sends the request back and forgets: then the front chooses again.
  expect(await page('/a/forget')).toBe('miss true')
  expect(asked).toBe(3)
  expect(await page('/a/y')).toBe('hit false')
})

test('a cached machine that is gone is no end: the app that chose it is asked again', async () => {
  await using fly = await startProxy()
  const choose = (instance: string) =>
    fly.machine('front', (_req, res) => {
      res.setHeader('fly-replay-cache', '/').setHeader('fly-replay-cache-ttl-secs', '10')
      res.setHeader('fly-replay', `app=worker;instance=${instance}`).end()
    })
  await choose('first')
  await fly.machine('first', 'first', { of: 'worker' })
  await fly.machine('second', 'second', { of: 'worker' })
  for (let times = 0; times < 2; times++) expect((await fly.ask()).body).toBe('first')
  fly.state.machines.delete('first')
  await choose('second')
  expect((await fly.ask()).body).toBe('second')
})

test('the cache of replays: times, sessions, bypass and what is never cached', () => {
  let now = 0
  const cache = new ReplayCache(() => now)
  const target = { app: 'worker' } as Target
  const http_options = {
    replay_cache: [
      { path_prefix: '/', ttl_seconds: 300, type: 'cookie', name: 'sid' },
      {
        path_prefix: '/api',
        ttl_seconds: 600,
        type: 'header',
        name: 'Authorization',
        allow_bypass: true,
      },
    ],
  }
  const services = [{ internal_port: 80, ports: [{ port: 80, http_options }] }]
  const from = aMachine({ config: { image: 'x', services } })
  const bare = aMachine()
  const asked = (url: string, headers = {}) => ({
    url,
    headers: { host: 'shop.test:80', ...headers },
  })
  const learn = (url: string, replay: Replay, headers = {}, machine = bare) =>
    cache.learn(asked(url, headers), { replay, target, from: machine })
  const find = (url: string, headers = {}, machine = bare) =>
    cache.find(asked(url, headers), [machine]).status

  const path = { prefix: '/a/*', ttl: 10 }
  learn('/a/b', { cache: path, state: 's' })
  learn('/a/b', { cache: path, timeout: '1s' })
  learn('/a/b', { cache: path, transform: {} })
  learn('/a/b', { cache: { ...path, ttl: 9 } })
  learn('/b', { cache: path })
  expect(find('/a/b')).toBe('miss')
  learn('/a/b', { cache: path })
  expect([find('/a'), find('/a/c?d'), find('/ab')]).toEqual(['hit', 'hit', 'miss'])
  now = 10_000
  expect(find('/a')).toBe('miss')
  learn('/a', { cache: { ...path, prefix: 'shop.test/a' } })
  learn('/a', { cache: { invalidate: true } })
  expect(find('/a')).toBe('miss')

  learn('/page', {}, { cookie: 'x=1; sid=ada' }, from)
  expect(find('/other', { cookie: 'sid=ada' }, from)).toBe('hit')
  expect(find('/other', { cookie: 'sid=bob' }, from)).toBe('miss')
  learn('/api/x', {}, { authorization: 'a' }, from)
  expect(find('/api/y', { authorization: 'a' }, from)).toBe('hit')
  const skip = { 'fly-replay-cache-control': 'skip' }
  expect(find('/api/y', { authorization: 'a', ...skip }, from)).toBe('bypass')
  expect(find('/other', { cookie: 'sid=ada', ...skip }, from)).toBe('hit')
  learn('/other', { cache: { invalidate: true } }, { cookie: 'sid=ada' }, from)
  expect(find('/other', { cookie: 'sid=ada' }, from)).toBe('miss')
})

test('a field may be quoted', () => {
  expect(readReplay('app="x" ; region="a,b";elsewhere=true;')).toEqual({
    app: 'x',
    region: 'a,b',
    elsewhere: 'true',
  })
})
