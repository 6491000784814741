import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Podman } from '../../lab/localfly/podman.ts'
import { startLocalfly, sweepLocalfly } from '../../lab/localfly/start.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { pushPage } from './perl-image.ts'

const token = 'fly-secret'
const dir = mkdtempSync(join(tmpdir(), 'localfly-'))
const freePorts = { apiPort: 0, proxyPort: 0, registryFrontPort: 0 }
const open = new AsyncDisposableStack()
let registry = ''
/** Two images by reference, each with a page of that name. */
let one = ''
let two = ''
type Localfly = Awaited<ReturnType<typeof startLocalfly>>
let main: Localfly
/** The localfly that the tests use now. */
let fly: Pick<Localfly, 'flyApi' | 'apps' | 'registry'>

beforeAll(async () => {
  registry = open.use(await startRegistry({ dir, port: 5299 })).address
  main = open.use(
    await startLocalfly({ dir, name: 'main', registry, token, limits: false, ...freePorts }),
  )
  fly = main
  await newApp('images')
  one = await pushPage(fly.registry, token, 'images', 'one')
  two = await pushPage(fly.registry, token, 'images', 'two')
})
afterEach(() => {
  fly = main
})
afterAll(async () => {
  await open.disposeAsync()
  rmSync(dir, { recursive: true, force: true })
})

test('an image that is pushed through the front runs as a machine and answers through the proxy', async () => {
  await newApp('first')
  const made = await api('POST', '/apps/first/machines', {
    name: 'web',
    config: web(one),
    region: 'iad',
  })
  expect(made).toMatchObject({
    status: 200,
    body: { state: 'created', name: 'web', region: 'iad' },
  })

  const { id, instance_id } = made.body
  expect(await wait('first', id, `version=${instance_id}`)).toMatchObject({
    ok: true,
    state: 'started',
  })

  await answers('first')
  expect(await page('first')).toMatchObject({ status: 200, body: 'one' })
  expect((await page('first', '/env/FLY_APP_NAME')).body).toBe('first')
  expect((await page('first', '/env/FLY_MACHINE_ID')).body).toBe(id)
  expect((await page('first', '/env/FLY_MACHINE_VERSION')).body).toBe(instance_id)

  const { body } = await api('GET', `/apps/first/machines/${id}`)
  expect(body.image_ref).toMatchObject({
    registry: fly.registry,
    repository: 'images',
    digest: one.split('@')[1],
  })
  expect(trail(body)).toEqual(['start/started/flyd', 'launch/created/user', 'launch/pending/flyd'])
  await destroy('first', id)
})

test('an update makes a new version and serves the new page; one that cannot be pulled is reverted silently', async () => {
  await newApp('updated')
  const machine = await runMachine('updated', web(one))
  const path = `/apps/updated/machines/${machine.id}`
  await answers('updated')
  const hardwareAddress = neighbour(machine.private_ip)
  const update = await api('POST', path, { config: web(two) })
  expect(update.body).toMatchObject({ state: 'replacing' })
  expect(update.body.instance_id).not.toBe(machine.instance_id)
  expect(await api('POST', path, { config: machine.config })).toMatchObject({ status: 409 })
  expect(await api('POST', `${path}/start`)).toMatchObject({ status: 412 })

  await wait('updated', machine.id, `version=${update.body.instance_id}`)
  await answers('updated')
  expect((await page('updated')).body).toBe('two')
  // otherwise it is not found until the host's ARP entry is stale
  expect(neighbour(machine.private_ip)).toBe(hardwareAddress)

  const stale = await api('POST', path, {
    config: machine.config,
    current_version: machine.instance_id,
  })
  expect(stale.status).toBe(412)

  const broken = await api('POST', path, {
    config: web(`${fly.registry}/images@sha256:${'0'.repeat(64)}`),
  })
  const late = await api('GET', `${path}/wait?timeout=3&version=${broken.body.instance_id}`)
  expect(late).toMatchObject({
    status: 408,
    body: {
      error: 'deadline_exceeded: machine failed to reach desired state, started, currently started',
    },
  })

  const after = await api('GET', path)
  expect(after.body).toMatchObject({ state: 'started', instance_id: update.body.instance_id })
  expect(after.body.config.image).toBe(update.body.config.image)
  expect((await page('updated')).body).toBe('two')

  const versions = await api('GET', `${path}/versions`)
  expect(versions.body.map(({ version }: any) => version)).toEqual([
    update.body.instance_id,
    machine.instance_id,
  ])
  await destroy('updated', machine.id)
})

test('a machine whose first image cannot be pulled fails', async () => {
  await newApp('unpullable')
  const config = web(`${fly.registry}/images@sha256:${'0'.repeat(64)}`)
  const { body } = await api('POST', '/apps/unpullable/machines', { config })
  await wait('unpullable', body.id, 'state=failed')
  await destroy('unpullable', body.id)
})

test('stop, start, suspend, restart and cordon work', async () => {
  await newApp('moved')
  const { id } = await runMachine('moved', web(one))
  const path = `/apps/moved/machines/${id}`
  expect(await api('DELETE', path)).toMatchObject({ status: 412 })

  await api('POST', `${path}/suspend`)
  await wait('moved', id, 'state=suspended')
  expect(await page('moved')).toMatchObject({ status: 503 })
  expect((await api('POST', `${path}/start`)).body).toMatchObject({ previous_state: 'suspended' })

  await wait('moved', id, 'state=started')
  await api('POST', `${path}/cordon`)
  expect((await page('moved')).body).toContain('cordoned')
  await api('POST', `${path}/uncordon`)
  expect((await page('moved')).body).toBe('one')

  await api('POST', `${path}/restart`)
  await wait('moved', id, 'state=started')
  await api('POST', `${path}/stop`, { timeout: '10s' })
  await wait('moved', id, 'state=stopped')
  const { body } = await api('GET', path)
  expect(body.events[0]).toMatchObject({
    type: 'exit',
    request: { exit_event: { requested_stop: true } },
  })
  await destroy('moved', id)
  expect((await page('moved')).body).toContain('it has none')
})

test('a program that ends is restarted by the policy, and an OOM kill is reported as one', async () => {
  await newApp('restarted')
  const policy = { policy: 'on-failure', max_retries: 1 }
  const { id } = await runMachine(
    'restarted',
    web(one, { restart: policy, guest: { cpus: 1, memory_mb: 256 } }),
  )
  const restarted = wait('restarted', id, `from_event_id=${await newestEvent('restarted', id)}`)
  await page('restarted', '/oom')
  await restarted
  const first = (await api('GET', `/apps/restarted/machines/${id}`)).body.events
  expect(first.find(({ type }: any) => type === 'crash')).toMatchObject({
    request: {
      restart_count: 1,
      exit_event: { oom_killed: true, exit_code: -1, guest_signal: 9, restarting: true },
    },
  })

  await answers('restarted')
  await page('restarted', '/exit/7')
  await wait('restarted', id, 'state=stopped')
  const [last] = (await api('GET', `/apps/restarted/machines/${id}/events?limit=1`)).body
  expect(last).toMatchObject({
    type: 'exit',
    status: 'stopped',
    request: {
      exit_event: { oom_killed: false, exit_code: 7, restarting: false, requested_stop: false },
    },
  })
  await destroy('restarted', id)
})

test('checks pass and fail by the machine’s answers, and the proxy skips a failing machine', async () => {
  await newApp('checked')
  const check = { interval: '1s', timeout: '1s', grace_period: '1s' }
  const service = { internal_port: 8080, ports: [{ port: 80, handlers: ['http'] }] }
  const { id } = await runMachine('checked', {
    image: one,
    services: [{ ...service, checks: [{ ...check, type: 'http', path: '/health' }] }],
    checks: { closed: { ...check, type: 'tcp', port: 9 } },
  })
  const checks = async () => {
    const { body } = await api('GET', `/apps/checked/machines/${id}`)
    return Object.fromEntries(body.checks.map(({ name, status }: any) => [name, status]))
  }
  const name = 'servicecheck-00-http-8080'
  await expect.poll(checks, { timeout: 10_000 }).toEqual({ closed: 'critical', [name]: 'passing' })
  expect((await page('checked', '/fall-ill')).status).toBe(200)
  await expect.poll(checks, { timeout: 10_000 }).toEqual({ closed: 'critical', [name]: 'critical' })

  const refused = await page('checked')
  expect(refused).toMatchObject({ status: 503 })
  expect(refused.body).toContain(`failing ${name}`)
  await destroy('checked', id)
})

test('the proxy carries an upgraded connection both ways', async () => {
  await newApp('upgraded')
  const { id } = await runMachine('upgraded', web(one))
  await answers('upgraded')
  const socket = connect(Number(new URL(fly.apps).port), '127.0.0.1')
  socket.write(
    'GET /ws HTTP/1.1\r\nHost: upgraded.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n',
  )
  const [head] = await once(socket, 'data')
  expect(String(head)).toContain('101 Switching Protocols')
  socket.write('there and back\n')
  expect(String((await once(socket, 'data'))[0])).toBe('there and back\n')
  socket.destroy()
  await destroy('upgraded', id)
})

test('a caller without the lease is refused while another holds it', async () => {
  await newApp('leased')
  const { id } = await runMachine('leased', web(one))
  const path = `/apps/leased/machines/${id}`
  const lease = await api('POST', `${path}/lease?ttl=30`)
  expect(lease).toMatchObject({
    status: 201,
    body: { status: 'success', data: { nonce: expect.any(String) } },
  })

  const { nonce } = lease.body.data
  const refused = await api('POST', `${path}/stop`)
  expect(refused.status).toBe(409)
  expect(refused.body.error).toMatch(
    new RegExp(`^aborted: machine ID ${id} lease currently held by .+, expires at`),
  )
  expect(await api('POST', `${path}/lease`, { ttl: 60 }, nonce)).toMatchObject({
    body: { data: { nonce } },
  })
  expect(await api('POST', `${path}/metadata/team`, { value: 'blue' })).toMatchObject({
    status: 204,
  })
  expect((await api('GET', '/apps/leased/machines?metadata.team=blue')).body).toHaveLength(1)
  expect((await api('GET', '/apps/leased/machines?metadata.team=red')).body).toHaveLength(0)
  expect(await api('DELETE', `${path}/lease`, undefined, nonce)).toMatchObject({ status: 200 })
  expect(await api('GET', `${path}/lease`)).toMatchObject({ status: 404 })
  await destroy('leased', id)
})

test('apps, addresses and tokens have the shapes of Fly', async () => {
  await newApp('shapes')
  expect(await api('POST', '/apps', { app_name: 'shapes', org_slug: 'personal' })).toMatchObject({
    status: 422,
    body: { error: expect.stringContaining('Name has already been taken'), status: 'name_taken' },
  })
  expect(await api('GET', '/apps/nobody')).toMatchObject({ status: 404 })
  expect((await api('GET', '/apps?org_slug=personal')).body).toMatchObject({
    total_apps: expect.any(Number),
  })

  const { body } = await api('POST', '/apps/shapes/ip_assignments', { type: 'private_v6' })
  expect(body.ip).toMatch(/^fdaa:/)
  expect((await api('GET', '/apps/shapes/ip_assignments')).body.ips).toEqual([body])
  expect(await api('DELETE', `/apps/shapes/ip_assignments/${body.ip}`)).toMatchObject({
    status: 204,
  })

  const answer = await fetch(`${fly.flyApi}/v1/apps/shapes`)
  expect(answer.status).toBe(401)
  expect(answer.headers.get('fly-request-id')).toBeTruthy()
  const scoped = (await api('POST', '/apps/shapes/deploy_token', { expiry: '1h' })).body.token
  const as = (path: string) =>
    fetch(`${fly.flyApi}/v1${path}`, { headers: { authorization: scoped } })
  expect((await as('/apps/shapes')).status).toBe(200)
  expect((await as('/apps?org_slug=personal')).status).toBe(403)
})

test('the registry front requires a token, and has no repository without an app', async () => {
  const open = await fetch(`http://${fly.registry}/v2/`)
  expect(open.status).toBe(401)
  expect(open.headers.get('www-authenticate')).toMatch(/^Basic/)
  const unknown = await fetch(`http://${fly.registry}/v2/nobody/manifests/latest`, {
    headers: basic,
  })
  expect(unknown.status).toBe(404)
  expect(await unknown.json()).toMatchObject({ errors: [{ code: 'NAME_UNKNOWN' }] })
})

test('the proxy stops an idle machine, and the next request waits until it runs again', async () => {
  await newApp('sleepy')
  const { id } = await runMachine('sleepy', {
    image: one,
    services: [{ protocol: 'tcp', internal_port: 8080, autostart: true, autostop: true }],
  })
  await main.fly.autostopAfter(500)
  await wait('sleepy', id, 'state=stopped')
  await main.fly.autostopAfter(300_000)
  expect(await page('sleepy')).toMatchObject({ status: 200, body: 'one' })

  const { body } = await api('GET', `/apps/sleepy/machines/${id}`)
  expect(trail(body)).toEqual(
    expect.arrayContaining(['stop/stopping/proxy', 'start/starting/proxy']),
  )
  await destroy('sleepy', id)
})

test('a machine that ends by itself with 0 stays stopped; the next requests start it once and wait until its port answers', async () => {
  await newApp('idle')
  const late = 'sleep 1; exec "/usr/bin/perl", "/server.pl"'
  const { id } = await runMachine('idle', {
    image: one,
    init: { exec: ['/usr/bin/perl', '-e', late] },
    services: [{ protocol: 'tcp', internal_port: 8080, autostart: true }],
    restart: { policy: 'on-failure' },
  })
  const boot = (await page('idle', '/boot')).body
  await page('idle', '/exit/0')
  await wait('idle', id, 'state=stopped')

  const answers = await Promise.all(Array.from({ length: 8 }, () => page('idle', '/boot')))
  expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200))
  expect(new Set(answers.map(({ body }) => body)).size).toBe(1)
  expect(answers[0]!.body).not.toBe(boot)
  await destroy('idle', id)
})

test('a machine finds machines, Flycast, Fly’s API and the rest of the world by name; Flycast wakes a machine', async () => {
  await newApp('asker')
  await newApp('hidden')
  const private_v6 = { type: 'private_v6' }
  expect(await api('POST', '/apps/hidden/ip_assignments', private_v6)).toMatchObject({
    status: 200,
  })
  const service = { protocol: 'tcp', internal_port: 8080, autostart: true }
  const hidden = await runMachine('hidden', {
    image: two,
    services: [{ ...service, ports: [{ port: 80, handlers: ['http'] }] }],
    metadata: { role: 'db' },
  })
  const asker = await runMachine('asker', web(one))
  const inside = async (script: string, ...words: string[]) => {
    const command = ['/usr/bin/perl', '-MSocket', '-MIO::Socket::INET', '-e', script, ...words]
    const said = await api('POST', `/apps/asker/machines/${asker.id}/exec`, {
      command,
      timeout: 20,
    })
    return String(said.body.stdout)
  }
  const lookUp =
    'for (@ARGV) { my @a = gethostbyname $_; print join(",", map { inet_ntoa $_ } @a[4..$#a]) || "none", "\n" }'
  const names = ['hidden.internal', 'db.role.kv._metadata.hidden.internal', 'asker.flycast']
  expect((await inside(lookUp, ...names)).split('\n')).toMatchObject([
    hidden.private_ip,
    hidden.private_ip,
    'none',
    '',
  ])
  const ask =
    'my $s = IO::Socket::INET->new($ARGV[0]) or die; print $s "GET $ARGV[1] HTTP/1.0\\r\\nHost: $ARGV[0]\\r\\n\\r\\n"; local $/; print <$s>'
  expect(await inside(ask, '_api.internal:4280', '/v1/apps/hidden')).toContain('401 Unauthorized')

  await api('POST', `/apps/hidden/machines/${hidden.id}/stop`)
  await wait('hidden', hidden.id, 'state=stopped')
  expect(await inside(lookUp, 'hidden.internal')).toBe('none\n')
  expect(await inside(ask, 'hidden.flycast:80', '/')).toMatch(/200 OK[^]*two$/)
  await destroy('hidden', hidden.id)
  await destroy('asker', asker.id)
})

test('on demand an image cannot be pulled, an update is abandoned, a machine does not start, a program is killed', async () => {
  await newApp('hostile')
  const { id, instance_id } = await runMachine('hostile', web(one))
  const path = `/apps/hostile/machines/${id}`
  for (const fault of ['pull-fails', 'reverts'] as const) {
    await main.fly.hostile({ faults: [{ fault, app: 'hostile', times: 1 }] })
    await api('POST', path, { config: web(two) })
    await wait('hostile', id, `version=${instance_id}`)
    await answers('hostile')
    expect((await page('hostile')).body).toBe('one')
  }
  await main.fly.hostile({ faults: [{ fault: 'crashes', app: 'hostile', times: 1, ms: 300 }] })
  const newest = await newestEvent('hostile', id)
  await api('POST', `${path}/restart`)
  await wait('hostile', id, `from_event_id=${newest}`)
  const trailOf = async () => (await api('GET', path)).body.events.map(({ type }: any) => type)
  await expect.poll(trailOf, { timeout: 5000 }).toContain('crash')

  await main.fly.hostile({ faults: [{ fault: 'never-starts', app: 'hostile' }] })
  const { body } = await api('POST', path, { config: web(two) })
  await wait('hostile', id, `state=failed&version=${body.instance_id}`)
  expect(await main.fly.calm('hostile')).toMatchObject([
    { fault: 'never-starts', app: 'hostile', machine: id },
  ])
  await destroy('hostile', id)
})

test('one machine and one action allow one request per second, with a burst of three', async () => {
  await using limited = await startLocalfly({
    dir: join(dir, 'limited'),
    name: 'limited',
    registry,
    token,
    ...freePorts,
  })
  const ask = async () =>
    (await fetch(`${limited.flyApi}/v1/apps/hello`, { headers: bearer })).status
  const statuses = [await ask(), await ask(), await ask(), await ask()]
  expect(statuses).toEqual([404, 404, 404, 429])
})

test('machines outlive a killed localfly: the next one adopts them, and notices which have ended', async () => {
  const { options, kill } = await startElsewhere('killed', 5290)
  for (const name of ['stays', 'ends']) await newApp(name)
  const stays = await runMachine('stays', web(one))
  const ends = await runMachine('ends', web(one, { restart: { policy: 'no' } }))
  const boot = (await page('stays', '/boot')).body
  await kill()
  const last = request({ host: ends.private_ip, port: 8080, path: '/exit/3' }).end()
  await once(last, 'error').catch(() => {})

  await using next = await startLocalfly(options)
  fly = next
  expect(await wait('stays', stays.id, 'state=started')).toMatchObject({
    version: stays.instance_id,
  })
  expect((await page('stays', '/boot')).body).toBe(boot)

  await wait('ends', ends.id, 'state=stopped')
  const { body } = await api('GET', `/apps/ends/machines/${ends.id}/events`)
  expect(body[0]).toMatchObject({ type: 'exit', request: { exit_event: { exit_code: 3 } } })
})

test('a sweep removes what a killed localfly left, and nothing of another lab', async () => {
  const { options, kill } = await startElsewhere('swept', 5293)
  await newApp('swept')
  await runMachine('swept', web(one))
  await kill()
  expect(leftovers('swept')).not.toEqual([])

  fly = main
  await newApp('neighbour')
  const { id } = await runMachine('neighbour', web(one))
  await sweepLocalfly(options)
  // processes need some time to end
  await expect.poll(() => leftovers('swept'), { timeout: 5000 }).toEqual([])
  expect((await page('neighbour')).body).toBe('one')
  await destroy('neighbour', id)
})

test('nothing is left of the machines of a closed localfly', async () => {
  const own = await startLocalfly({
    dir: join(dir, 'closed'),
    name: 'closed',
    registry,
    token,
    limits: false,
    ...freePorts,
  })
  fly = own
  await newApp('closed')
  await runMachine('closed', web(one))
  expect(leftovers('closed')).not.toEqual([])
  await own[Symbol.asyncDispose]()
  await expect.poll(() => leftovers('closed'), { timeout: 5000 }).toEqual([])
})

const bearer = { authorization: `Bearer ${token}` }
const basic = { authorization: `Basic ${Buffer.from(`x:${token}`).toString('base64')}` }

const web = (image: string, more: object = {}) => ({
  image,
  services: [
    {
      protocol: 'tcp',
      internal_port: 8080,
      autostart: false,
      ports: [{ port: 80, handlers: ['http'] }],
    },
  ],
  ...more,
})

async function api(
  method: string,
  path: string,
  body?: unknown,
  nonce?: string,
): Promise<{ status: number; body: any }> {
  const headers = { ...bearer, ...(nonce && { 'fly-machine-lease-nonce': nonce }) }
  const answer = await fetch(`${fly.flyApi}/v1${path}`, {
    method,
    headers,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const said = await answer.text()
  return { status: answer.status, body: said ? JSON.parse(said) : null }
}

async function newApp(name: string): Promise<void> {
  expect(await api('POST', '/apps', { name, org_slug: 'personal' })).toMatchObject({ status: 201 })
}

async function wait(app: string, id: string, query: string): Promise<any> {
  const { status, body } = await api('GET', `/apps/${app}/machines/${id}/wait?timeout=20&${query}`)
  expect({ status, error: body.error }).toEqual({ status: 200, error: undefined })
  return body
}

async function runMachine(app: string, config: object): Promise<any> {
  const { body } = await api('POST', `/apps/${app}/machines`, { config })
  await wait(app, body.id, 'state=started')
  await answers(app)
  return body
}

async function destroy(app: string, id: string): Promise<void> {
  expect(await api('DELETE', `/apps/${app}/machines/${id}?force=true`)).toMatchObject({
    status: 200,
    body: { ok: true },
  })
  await wait(app, id, 'state=destroyed')
}

const newestEvent = async (app: string, id: string): Promise<string> =>
  (await api('GET', `/apps/${app}/machines/${id}`)).body.events[0].id

const trail = (machine: any): string[] =>
  machine.events.map(({ type, status, source }: any) => `${type}/${status}/${source}`)

/** Reads an app's page through the proxy. An answer that breaks off counts as empty. */
async function page(app: string, path = '/'): Promise<{ status: number; body: string }> {
  const { port } = new URL(fly.apps)
  const call = request({
    host: '127.0.0.1',
    port,
    path,
    headers: { host: `${app}.localhost:${port}` },
  }).end()
  const [answer] = await once(call, 'response')
  return { status: answer.statusCode, body: await text(answer) }
}

/** The hardware address that this host has for a machine's address. */
function neighbour(address: string): string {
  return /lladdr (\S+)/.exec(
    execFileSync('ip', ['neigh', 'show', address], { encoding: 'utf8' }),
  )![1]!
}

async function answers(app: string): Promise<void> {
  await expect.poll(async () => (await page(app)).status, { timeout: 10_000 }).toBe(200)
}

/** Starts a localfly in its own process, which may be killed. The tests use it from here on. */
async function startElsewhere(name: string, port: number) {
  const ports = { apiPort: port, proxyPort: port + 1, registryFrontPort: port + 2 }
  const options = { dir: join(dir, name), name, registry, token, limits: false, ...ports }
  open.defer(() => sweepLocalfly(options))
  const start = join(import.meta.dirname, '../../lab/localfly/start.ts')
  const script = `import { startLocalfly } from ${JSON.stringify(start)}
    await startLocalfly(${JSON.stringify(options)}); console.log('up')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  open.defer(() => void child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  fly = {
    flyApi: `http://127.0.0.1:${port}`,
    apps: `http://localhost:${port + 1}`,
    registry: `127.0.0.1:${port + 2}`,
  }
  const kill = async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return { options, kill }
}

/** Mounts, processes, bridges and firewall rules of this test's lab. */
function leftovers(name: string): string[] {
  const lab = join(dir, name)
  const podman = new Podman({ dir: lab, name })
  const marks = [join(lab, 'podman'), podman.bridge, podman.addresses()[0]!.replace(/\.2$/, '.')]
  const said = [
    ['cat', '/proc/mounts'],
    ['ps', '-eo', 'args'],
    ['ip', '-brief', 'address'],
    ['iptables-save'],
    ['nft', 'list', 'tables'],
  ]
  const lines = said.flatMap(([program, ...args]) =>
    execFileSync(program!, args, { encoding: 'utf8' }).split('\n'),
  )
  return lines.filter((line) => marks.some((mark) => line.includes(mark)))
}
