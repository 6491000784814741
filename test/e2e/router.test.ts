import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { request as requestTls } from 'node:https'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { Queue } from '#api/overview/queue.ts'
import type { RouterAnswer } from '#api/router/router.ts'
import { routes } from '#api/routes.ts'
import { askFly } from '../../lab/use-lab.ts'
import { heldApp } from './held-step.ts'
import { shareLab } from './shared-lab.ts'
import { startTestLab, type Files, type TestLab } from './start.ts'

let lab: TestLab
/** Two machines of the router and three of the owners start at almost the same time. */
const start = () => startTestLab({ TARMAC_MACHINE_TIMEOUT: '60' })
shareLab(start, async (fresh) => {
  lab = fresh
  await deployRouter()
  const ended = await Promise.all(owners.map((owner) => deploy(owner, '1')))
  expect(ended.map(({ state }) => state)).toEqual(owners.map(() => 'live'))
})

const owners = ['ada', 'bob', 'cleo']
const domain = 'users.example.com'

/** Says whose it is, and what it was asked. It also joins WebSockets, and streams. */
const server = `
import { createServer } from 'node:http'
const own = { owner: process.env.WHO, version: process.env.VERSION }
const server = createServer(async (request, response) => {
  if (request.url.startsWith('/stream')) {
    for (let n = 0; n < 5; n++) {
      response.write(own.owner + '\\n')
      await new Promise((done) => setTimeout(done, 20))
    }
    return response.end()
  }
  let bytes = 0
  for await (const chunk of request) bytes += chunk.length
  const { url, method, headers } = request
  response.end(JSON.stringify({ ...own, url, method, bytes, headers }))
})
server.on('upgrade', (request, socket) => {
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nconnection: Upgrade\\r\\nupgrade: echo\\r\\n\\r\\n' + own.owner)
  socket.on('data', (data) => socket.end(data))
})
server.listen(8080)
process.once('SIGINT', () => process.exit(0))
`
const files: Files = {
  Dockerfile: 'FROM node:22-slim\nCOPY server.mjs .\nCMD ["node", "server.mjs"]\n',
  'server.mjs': server,
  'fly.toml': `[http_service]
internal_port = 8080
auto_stop_machines = "stop"
auto_start_machines = true
[[http_service.checks]]
path = "/"
interval = "1s"
timeout = "1s"
grace_period = "1s"
`,
}

async function deployRouter(): Promise<Deployment> {
  const answer = await fetch(`${lab.gateway}/v1/apps/shop/router`, {
    method: 'POST',
    headers: { authorization: `Bearer ${lab.token}` },
    body: JSON.stringify({ domain }),
  })
  expect(answer.status).toBe(202)
  const { deployment } = (await answer.json()) as RouterAnswer
  const { record } = await lab.end(deployment!)
  expect(record.state, JSON.stringify(record.problem)).toBe('live')
  return record
}

async function deploy(owner: string, version: string, more = ''): Promise<Deployment> {
  const env = `env.WHO=${owner}&env.VERSION=${version}`
  return (await lab.held('shop', files, `owner=${owner}&${env}${more}`)).record
}

type Ask = { method?: string; headers?: Record<string, string>; body?: string }

/** Asks the router as a program on its network does. */
async function ask(path: string, { method = 'GET', headers = {}, body = '' }: Ask = {}) {
  const { port } = new URL(lab.apps)
  const host = `shop-router.localhost:${port}`
  const sent = request({ host: '127.0.0.1', port, path, method, headers: { host, ...headers } })
  const answered = Promise.race([once(sent, 'response'), once(sent, 'upgrade')])
  sent.end(body)
  const [answer, socket, head] = (await answered) as [IncomingMessage, Duplex?, Buffer?]
  if (socket) socket.end('bye')
  const whole = String(head ?? '') + (await text(socket ?? answer))
  const json = (whole.startsWith('{') ? JSON.parse(whole) : {}) as Record<string, unknown>
  return { status: answer.statusCode, text: whole, json }
}

const named = (owner: string) => ({ 'tarmac-owner': owner })
const upgrade = { connection: 'Upgrade', upgrade: 'echo' }

/** All forms of a request for an owner. Each returns whose machine has answered. */
const forms: ((owner: string) => Promise<unknown>)[] = [
  async (owner) => (await ask('/x', { headers: named(owner) })).json['owner'],
  async (owner) => (await ask(`/~${owner}/x?y=1`)).json['owner'],
  async (owner) => {
    const { json } = await ask(`/~${owner}/x?y=1`, { method: 'PUT', body: 'x'.repeat(10_000) })
    expect(json).toMatchObject({ url: '/x?y=1', method: 'PUT', bytes: 10_000 })
    return json['owner']
  },
  async (owner) =>
    new Set((await ask(`/~${owner}/stream`)).text.trim().split('\n')).values().next().value,
  async (owner) => (await ask('/', { headers: { ...upgrade, ...named(owner) } })).text.slice(0, -3),
  async (owner) => (await ask(`/~${owner}/`, { headers: upgrade })).text.slice(0, -3),
]

/** Whose machine answered instead of the right one, over requests of all forms at once. */
async function strangers(count: number): Promise<unknown[]> {
  const all = Array.from({ length: count }, async (_, n) => {
    const owner = owners[Math.floor(n / forms.length) % owners.length]!
    const got = await forms[n % forms.length]!(owner)
    return got === owner ? [] : [{ owner, got, form: n % forms.length }]
  })
  return (await Promise.all(all)).flat()
}

type Machine = { id: string; state: string; config: { metadata?: Record<string, string> } }
const machinesOf = async (owner: string) =>
  (await askFly<Machine[]>(lab, 'GET', '/apps/shop/machines')).filter(
    ({ config }) => config.metadata?.['tarmac_owner'] === owner,
  )

test('300 requests of all forms at once are each answered by the machine of their owner', async () => {
  expect(await strangers(300)).toEqual([])
  const { status, json } = await ask('/~ada/x', { headers: { 'x-mine': '1' } })
  expect([status, json['url']]).toEqual([200, '/x'])
  expect(json['headers']).toMatchObject({ 'tarmac-owner': 'ada', 'x-forwarded-prefix': '/~ada' })

  const found = await lab.ask('/v1/apps/shop/deployments?limit=3')
  const { deployments } = (await found.json()) as { deployments: Deployment[] }
  for (const { url, owner } of deployments) {
    expect(url).toBe(`http://shop-router.localhost:${new URL(lab.apps).port}/~${owner}/`)
    expect((await ask(new URL(url!).pathname)).text).toContain(owner!)
  }
})

test('a stopped machine is started by the request for its owner', async () => {
  const [bob] = await machinesOf('bob')
  await askFly(lab, 'POST', `/apps/shop/machines/${bob!.id}/stop`)
  await askFly(lab, 'GET', `/apps/shop/machines/${bob!.id}/wait?state=stopped&timeout=30`)
  expect((await ask('/~bob/')).json).toMatchObject({ owner: 'bob' })
  expect((await machinesOf('bob'))[0]).toMatchObject({ id: bob!.id, state: 'started' })
})

test('what names no owner, or a wrong one, reaches no machine', async () => {
  const answers = await Promise.all([
    ask('/'),
    ask('/~eve/'),
    ask('/~ada/', { headers: named('eve') }),
    ask('/', { headers: named('../ada') }),
    ask('/', { headers: { 'fly-replay': 'app=shop' } }),
  ])
  expect(answers.map(({ status, json }) => [status, json['code']])).toEqual([
    [404, 'owner-missing'],
    [404, 'owner-not-found'],
    [404, 'owner-not-found'],
    [404, 'owner-not-found'],
    [404, 'owner-missing'],
  ])
  const [ada] = await machinesOf('ada')
  const forged = { 'fly-prefer-instance-id': ada!.id, 'fly-replay': `app=shop;instance=${ada!.id}` }
  expect((await ask('/~bob/', { headers: forged })).json).toMatchObject({ owner: 'bob' })
  const large = { method: 'POST', headers: named('ada'), body: 'x'.repeat(1_000_001) }
  expect(await ask('/', large)).toMatchObject({ status: 413, json: { code: 'too-large' } })
})

/** A certificate for all names below the domain, signed by itself. */
async function makeCertificate() {
  const [key, cert] = [join(lab.dir, 'domain.key'), join(lab.dir, 'domain.pem')]
  const made = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const named = ['-subj', `/CN=${domain}`, '-addext', `subjectAltName=DNS:*.${domain}`]
  const files = ['-keyout', key, '-out', cert, '-days', '2']
  await promisify(execFile)('openssl', ['req', ...made, ...named, ...files])
  return { fullchain: await readFile(cert, 'utf8'), private_key: await readFile(key, 'utf8') }
}

/** Asks a host below the domain as a browser does. */
async function browse(host: string, ca: string, { path = '/', headers = {} } = {}) {
  const { port } = new URL(lab.appsTls)
  const to = { host: '127.0.0.1', port, path, servername: host, ca, agent: false }
  const sent = requestTls({ ...to, headers: { host, ...headers } })
  const answered = Promise.race([once(sent, 'response'), once(sent, 'upgrade')])
  sent.end()
  const [answer, socket, head] = (await answered) as [IncomingMessage, Duplex?, Buffer?]
  socket?.write('bye') // TLS has no half of a connection that stays open
  const whole = String(head ?? '') + (await text(socket ?? answer))
  const json = (whole.startsWith('{') ? JSON.parse(whole) : {}) as Record<string, unknown>
  return { status: answer.statusCode, text: whole, json }
}

test('with a domain, its certificate and an address, each owner has a host of its own', async () => {
  const hostname = `*.${domain}`
  const certificate = await makeCertificate()
  const { fullchain: ca } = certificate
  const path = '/apps/shop-router/certificates'
  await askFly(lab, 'POST', '/apps/shop-router/ip_assignments', { type: 'v6' })
  const added = await askFly<object>(lab, 'POST', `${path}/custom`, { hostname, ...certificate })
  expect(added).toMatchObject({ status: 'pending_ownership' })
  await expect(browse(`ada.${domain}`, ca)).rejects.toThrow()

  const dns = { ownership: true, http: true, alpn: true }
  await lab.fly.certificate({ app: 'shop-router', hostname, dns })
  const checked = await askFly<object>(lab, 'POST', `${path}/${encodeURIComponent(hostname)}/check`)
  expect(checked).toMatchObject({ status: 'active' })

  const asked = await Promise.all(owners.map((owner) => browse(`${owner}.${domain}`, ca)))
  expect(asked.map(({ json }) => json['owner'])).toEqual(owners)
  const { json } = await browse(`ada.${domain}`, ca, { path: '/~bob/x?y=1' })
  expect(json).toMatchObject({ owner: 'ada', url: '/~bob/x?y=1' })
  expect(json['headers']).toMatchObject({
    host: `ada.${domain}`,
    'tarmac-owner': 'ada',
    'x-forwarded-proto': 'https',
  })
  expect((await browse(`cleo.${domain}`, ca, { headers: upgrade })).text).toBe('cleobye')
  const unknown = await browse(`eve.${domain}`, ca)
  expect(unknown).toMatchObject({ status: 404, json: { code: 'owner-not-found' } })
  await expect(browse(`x.ada.${domain}`, ca)).rejects.toThrow()
})

test('a machine that is replaced under load loses no request', async () => {
  const [before] = await machinesOf('cleo')
  const over = new AbortController()
  const met = new Map<string, number>()
  const load = Array.from({ length: 4 }, async () => {
    while (!over.signal.aborted) {
      const { status, json } = await ask('/~cleo/')
      const key = `${status} ${String(json['owner'] ?? json['code'])}`
      met.set(key, (met.get(key) ?? 0) + 1)
    }
  })
  const record = await deploy('cleo', '2', '&strategy=bluegreen').finally(() => over.abort())
  await Promise.all(load)
  expect(record.state, JSON.stringify(record.problem)).toBe('live')
  expect((await machinesOf('cleo')).map(({ id }) => id)).not.toContain(before!.id)
  expect([...met.keys()]).toEqual(['200 cleo'])
  expect(met.get('200 cleo')).toBeGreaterThan(20)
  expect((await ask('/~cleo/')).json).toMatchObject({ owner: 'cleo', version: '2' })
})

test('a router whose machine is killed goes on with the other one', async () => {
  const [one] = await askFly<Machine[]>(lab, 'GET', '/apps/shop-router/machines')
  await askFly(lab, 'POST', `/apps/shop-router/machines/${one!.id}/stop`, { signal: 'SIGKILL' })
  expect(await strangers(30)).toEqual([])
})

test('a gateway that is killed while it changes a route goes on with it', async () => {
  let id = ''
  await killedAt('shop-router/deploying', async () => {
    id = await lab.submit('shop', files, 'owner=dora&env.WHO=dora&env.VERSION=1')
  })
  await lab.start('gateway')
  const { record } = await lab.end(id)
  expect(record.state, JSON.stringify(record.problem)).toBe('live')
  // It did not wait: after a death of the gateway, deployments run one at a time.
  await expect
    .poll(async () => (await ask('/~dora/')).json['owner'], { timeout: 60_000, interval: 200 })
    .toBe('dora')
  expect(await strangers(30)).toEqual([])
})

test('a gateway that is killed while owners wait for the router goes on with all of them', async () => {
  // The oldest deployment comes first after the death: another one that waits for the router then
  // must not wait for those behind it.
  // After the death before this one, they run one at a time until what then ran has ended.
  const queued = async () =>
    ((await (await lab.ask(routes.queue)).json()) as Queue).entries.map(({ app }) => app)
  await expect.poll(queued, { timeout: 100_000, interval: 500 }).toEqual([])
  const held = heldApp('gil')
  const gil = { ...held.files, 'fly.toml': files['fly.toml']! }
  const ids = [await lab.submit('shop', gil, 'owner=gil')]
  // Until the death, Fly lets nobody change the router's machines.
  const on = '^POST /apps/shop-router/machines/[^/]+$'
  await lab.fly.hostile({ app: 'shop-router', faults: [{ fault: 'rate-limit', ms: 1000, on }] })
  const guests = ['eve', 'finn']
  for (const owner of guests)
    ids.push(await lab.submit('shop', files, `owner=${owner}&env.WHO=${owner}`))
  const waits = /^Waiting for deployment .* shop-router learns which machine/
  for (const id of ids.slice(1))
    await lab.seen(id, (event) => event.type === 'note' && waits.test(event.text))

  await killedAt('shop/deploying', () => held.release())
  await lab.fly.calm('shop-router')
  await lab.start('gateway')
  const states = async () =>
    (await Promise.all(ids.map((id) => lab.deployment(id)))).map(({ state }) => state)
  await expect.poll(states, { timeout: 100_000, interval: 500 }).toEqual(ids.map(() => 'live'))
  const answers = async () =>
    Promise.all(['gil', ...guests].map(async (owner) => (await ask(`/~${owner}/`)).text))
  await expect
    .poll(answers, { timeout: 60_000, interval: 200 })
    .toEqual(['gil', ...guests.map((owner) => expect.stringContaining(`"owner":"${owner}"`))])
  expect(await strangers(30)).toEqual([])
})

/** Runs `act`, after which the gateway dies when a deployment is in this state of its app. */
async function killedAt(state: string, act: () => Promise<unknown>): Promise<void> {
  const orders = join(lab.dir, 'crash-orders')
  const { pid } = lab.gatewayProcess
  await writeFile(orders, `in-state SIGKILL always ${state}\n`)
  await act()
  const stat = () => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  await expect.poll(stat, { timeout: 60_000, interval: 50 }).toMatch(/^$|\) [ZX] /)
  await rm(orders)
}
