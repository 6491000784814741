import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { routesEnv } from '../../../gateway/src/commands/router/routes.ts'

// The program of the router as a process, as its image runs it.

const program = join(import.meta.dirname, '../../../gateway/router/router.mjs')
const routes = new Map([
  ['ada', ['m1', 'm2']],
  ['bob', ['m3']],
])
let router: Awaited<ReturnType<typeof start>>
beforeAll(async () => {
  router = await start({ TARMAC_ROUTER_DOMAIN: 'users.example.com', ...routesEnv(routes) })
})
afterAll(() => router[Symbol.asyncDispose]())

test.each<[string, string, Record<string, string>, string, string | undefined]>([
  ['the header', '/x?y=1', { 'tarmac-owner': 'bob' }, 'bob', undefined],
  ['the host', '/x?y=1', { host: 'bob.users.example.com' }, 'bob', undefined],
  [
    'the host, in any case, with a port',
    '/x',
    { host: 'Bob.Users.example.com:80' },
    'bob',
    undefined,
  ],
  ['the path', '/~bob/x?y=1', {}, 'bob', '/x?y=1'],
  ['the path, as some clients write it', '/%7Ebob/x', {}, 'bob', '/x'],
  ['the path alone', '/~bob/', {}, 'bob', '/'],
  [
    'the header before the host',
    '/',
    { 'tarmac-owner': 'bob', host: 'ada.users.example.com' },
    'bob',
    undefined,
  ],
  ['the host before the path', '/~ada/x', { host: 'bob.users.example.com' }, 'bob', undefined],
])('finds the owner by %s', async (_, path, headers, owner, sentPath) => {
  const { status, type, json } = await router.ask(path, { headers })
  expect([status, type]).toEqual([200, 'application/vnd.fly.replay+json'])
  expect(json).toMatchObject({
    app: 'shop',
    instance: 'm3',
    timeout: '10s',
    fallback: 'force_self',
  })
  expect(json['transform']).toMatchObject({
    delete_headers: expect.arrayContaining(['fly-force-instance-id', 'fly-prefer-instance-id']),
    set_headers: expect.arrayContaining([{ name: 'tarmac-owner', value: owner }]),
  })
  expect((json['transform'] as { path?: string }).path).toBe(sentPath)
})

test('takes the machines of an owner in turn', async () => {
  const asked = await Promise.all(
    Array.from({ length: 10 }, () => router.ask('/', { headers: { 'tarmac-owner': 'ada' } })),
  )
  const counts = Map.groupBy(asked, ({ json }) => json['instance'])
  expect([counts.get('m1')?.length, counts.get('m2')?.length]).toEqual([5, 5])
})

test.each<[string, string, Record<string, string | string[]>]>([
  ['an unknown one', '/', { 'tarmac-owner': 'eve' }],
  ['no name', '/', { 'tarmac-owner': '' }],
  ['a path as a name', '/', { 'tarmac-owner': '../bob' }],
  ['a name of the language', '/', { 'tarmac-owner': '__proto__' }],
  ['two names', '/', { 'tarmac-owner': ['ada', 'bob'] }],
  ['an unknown one, and a known one in the path', '/~bob/', { 'tarmac-owner': 'eve' }],
  ['a deeper host', '/', { host: 'x.ada.users.example.com' }],
  ['another case in the path', '/~Bob/', {}],
  ['an escaped path', '/~bob%2f../x', {}],
])('answers 404 for %s, and never guesses', async (_, path, headers) => {
  const { status, json } = await router.ask(path, { headers })
  expect(status).toBe(404)
  expect(json).toMatchObject({ code: 'owner-not-found', status: 404 })
  expect(json['detail']).toContain('shop has no machine of the owner')
})

test.each(['/', '/x/~bob/', '/ada', '/~', '//~bob/'])('names no owner: %s', async (path) => {
  const { status, json } = await router.ask(path)
  expect(status).toBe(404)
  expect(['owner-missing', 'owner-not-found']).toContain(json['code'])
})

test('sends a page without a slash to the one with it, so that its links keep the owner', async () => {
  const { status, headers } = await router.ask('/~bob?x=1')
  expect([status, headers.location]).toEqual([308, '/~bob/?x=1'])
})

test('asks for a replay of a WebSocket’s handshake', async () => {
  const headers = {
    'tarmac-owner': 'bob',
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
  }
  expect((await router.ask('/live', { headers })).json).toMatchObject({ instance: 'm3' })
})

test('asks by a header where an answer has no body, and refuses what a header cannot say', async () => {
  const { status, headers } = await router.ask('/', {
    method: 'HEAD',
    headers: { 'tarmac-owner': 'bob' },
  })
  expect(status).toBe(200)
  expect(headers['fly-replay']).toBe('app=shop;instance=m3;timeout=10s;fallback=force_self')
  expect((await router.ask('/~bob/', { method: 'HEAD' })).status).toBe(405)
})

test.each([true, false])('refuses a body over 1 MB, announced: %s', async (isAnnounced) => {
  const headers = { 'tarmac-owner': 'bob', ...(isAnnounced && { 'content-length': '1000001' }) }
  const asked = await router.ask('/', { method: 'POST', headers, body: Buffer.alloc(1_000_001) })
  expect(asked.status).toBe(413)
  expect(asked.json['detail']).toContain('http://m3.vm.shop.internal:PORT')
  const small = {
    method: 'POST',
    headers: { 'tarmac-owner': 'bob' },
    body: Buffer.alloc(1_000_000),
  }
  expect((await router.ask('/', small)).json).toMatchObject({ instance: 'm3' })
})

const given = 'instance=m3;app=shop;replay_source=r1;reason=timeout'

// Fly gives back the request as the replay changed it, with the header, or as it came, with the path.
test.each([
  ['/x', { 'tarmac-owner': 'bob' }],
  ['/~bob/x', {}],
])('names the owner when Fly gives a request back: %s', async (path, more) => {
  const headers = { 'fly-replay-failed': given, ...more }
  const { status, headers: sent, json } = await router.ask(path, { headers })
  expect([status, sent['retry-after']]).toEqual([503, '2'])
  expect(json['detail']).toContain(
    'did not reach machine m3 of the owner "bob" of shop in 10s (timeout)',
  )
})

test.each([
  [given, {}],
  [given, { 'tarmac-owner': 'ada' }],
  ['instance=m9;reason=<b>"x"', { 'tarmac-owner': 'ada' }],
])('a forged header of a failed replay says nothing of another owner: %s', async (text, more) => {
  const headers = { 'fly-replay-failed': text, ...more }
  const { status, json } = await router.ask('/', { headers })
  expect(status).toBe(503)
  expect(JSON.stringify(json)).not.toMatch(/bob|m3|m9|<b>/)
})

test('a request cannot choose a machine by a header of an answer', async () => {
  const headers = { 'fly-replay': 'app=shop;instance=m1', 'tarmac-owner': 'bob' }
  expect((await router.ask('/', { headers })).json).toMatchObject({ instance: 'm3' })
})

test('answers the check of Fly, and ends when it is asked to', async () => {
  await using other = await start({ TARMAC_ROUTES_0: '{}' })
  expect(await other.ask('/.well-known/tarmac-router')).toMatchObject({
    status: 200,
    json: { owners: 0 },
  })
  const idle = connect(other.port)
  await once(idle, 'connect')
  expect(await other.end('SIGINT')).toBe(0)
  idle.destroy()
})

test('does not start with routes that cannot be read, so that its deployment fails', async () => {
  await expect(start({ TARMAC_ROUTES_0: '{"ada":' })).rejects.toThrow('ended with 1')
})

async function start(settings: Record<string, string>) {
  const env = { PATH: process.env['PATH'], PORT: '0', TARMAC_ROUTER_APP: 'shop', ...settings }
  const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'ignore'] })
  const closed = once(child, 'close')
  const [line] = await Promise.race([
    once(createInterface(child.stdout), 'line'),
    closed.then(([code]) => Promise.reject(new Error(`ended with ${code}`))),
  ])
  const port = Number(/port (\d+)$/.exec(line)![1])

  return {
    port,
    async ask(
      path: string,
      {
        method = 'GET',
        headers = {},
        body,
      }: { method?: string; headers?: Record<string, string | string[]>; body?: Buffer } = {},
    ) {
      const sent = request({ port, path, method, headers, agent: false })
      sent.on('error', () => {}) // a refused body may break the connection after the answer
      const answered = once(sent, 'response')
      sent.end(body)
      const [answer] = await answered
      const whole = await text(answer)
      const type = answer.headers['content-type']
      const json: Record<string, unknown> = whole.startsWith('{') ? JSON.parse(whole) : {}
      return { status: answer.statusCode, headers: answer.headers, type, json }
    },
    async end(signal: NodeJS.Signals) {
      child.kill(signal)
      return (await closed)[0]
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await closed
    },
  }
}
