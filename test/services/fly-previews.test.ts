import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startLocalfly } from '../../lab/localfly/start.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { pushPage } from './perl-image.ts'

/** What previews and machines per user need of Fly, with real machines in one lab. */
const token = 'fly-secret'
const dir = mkdtempSync(join(tmpdir(), 'fly-previews-'))
const ports = { apiPort: 5331, proxyPort: 5332, registryFrontPort: 5333 }
const open = new AsyncDisposableStack()
let fly: Awaited<ReturnType<typeof startLocalfly>>
let image = ''

beforeAll(async () => {
  const registry = open.use(await startRegistry({ dir, port: 5330 }))
  const own = { dir, name: 'previews', registry: registry.address, token, limits: false, ...ports }
  fly = open.use(await startLocalfly(own))
  await newApp('images')
  image = await pushPage(fly.registry, token, 'images', 'one')
})
afterAll(async () => {
  await open.disposeAsync()
  rmSync(dir, { recursive: true, force: true })
})

test('machines reach each other in one network, and no machine of another by address, name or Flycast', async () => {
  await newApp('mine', { network: 'ada' })
  await newApp('friend', { network: 'ada' })
  await newApp('other', { network: 'bob' })
  await newApp('usual')
  const address = { type: 'private_v6' }
  await api('POST', '/apps/other/ip_assignments', { ...address, network: 'bob' })
  await api('POST', '/apps/friend/ip_assignments', { ...address, network: 'ada' })
  const [mine, twin, friend, other, usual] = await Promise.all(
    ['mine', 'mine', 'friend', 'other', 'usual'].map((app) => run(app, web())),
  )
  const from = async (machine: Running, targets: Record<string, string>) => {
    const said = await perl(machine, reach, ...Object.values(targets))
    const pages = said.split('\n')
    return Object.fromEntries(Object.keys(targets).map((name, at) => [name, pages[at]]))
  }
  const addresses = {
    twin: `${twin!.ip}:8080`,
    friend: `${friend!.ip}:8080`,
    'by name': 'friend.internal:8080',
    'by Flycast': 'friend.flycast:80',
  }
  expect(await from(mine!, addresses)).toEqual({
    twin: 'one',
    friend: 'one',
    'by name': 'one',
    'by Flycast': 'one',
  })

  const others = {
    address: `${other!.ip}:8080`,
    usual: `${usual!.ip}:8080`,
    name: 'other.internal:8080',
    Flycast: 'other.flycast:80',
    // The lab's Flycast has one address, so a machine may call it by another network's name.
    'Flycast by its host name': 'friend.flycast:80:other.flycast',
    'public name at Flycast': 'friend.flycast:80:other.localhost',
  }
  const nothing = Object.fromEntries(Object.keys(others).map((name) => [name, '-']))
  expect(await from(mine!, others)).toEqual(nothing)
  const back = { mine: `${mine!.ip}:8080`, friend: 'friend.internal:8080' }
  expect(await from(other!, back)).toEqual({ mine: '-', friend: '-' })
  expect(await from(usual!, back)).toEqual({ mine: '-', friend: '-' })

  // The control: the rules keep them apart, and nothing else does.
  const bridge = execFileSync('ip', ['-brief', 'route', 'get', mine!.ip], { encoding: 'utf8' })
  const name = /dev (\S+)/.exec(bridge)![1]!
  for (const family of ['bridge', 'ip']) execFileSync('nft', ['flush', 'table', family, name])
  expect(await from(mine!, { other: `${other!.ip}:8080` })).toEqual({ other: 'one' })
})

test('a router in front sends each request, also an upgrade, to one owner’s machine by fly-replay, and wakes it', async () => {
  await newApp('router')
  await newApp('owners')
  const private_v6 = { type: 'private_v6' }
  await api('POST', '/apps/router/ip_assignments', private_v6)
  const [ada, bob] = await Promise.all(
    ['ada', 'bob'].map((name) => run('owners', counter({ env: { NAME: name } }), { name })),
  )
  const router = {
    ADA: `app=owners;instance=${ada!.id};state=s`,
    BOB: `app=owners;instance=${bob!.id}`,
  }
  const front = await run('router', counter({ env: router }))
  const get = async (path: string) => (await page('router', path)).body
  await expect.poll(() => get('/ADA')).toBe('ada 1 app=s')
  expect(await get('/BOB')).toMatch(/^bob 1 /)

  await api('POST', `${ada!.path}/suspend`)
  await wait(ada!.path, 'state=suspended')
  await api('POST', `${bob!.path}/stop`)
  await wait(bob!.path, 'state=stopped')
  expect(await get('/ADA')).toMatch(/^ada 2 /) // the same memory goes on
  expect(await get('/BOB')).toMatch(/^bob 1 /) // begins again
  const events = (await api('GET', `${ada!.path}/events`)).body
  expect(events.map(trail)).toEqual(expect.arrayContaining(['start/starting/proxy']))

  // From a machine, through Flycast.
  expect(await perl(front, reach, 'router.flycast:80', 'owners.flycast:80')).toBe('home 1\n-\n')
  expect(await perl(front, reach, 'router.flycast:80/BOB')).toMatch(/^bob 2 /)

  const socket = connect(ports.proxyPort, '127.0.0.1')
  socket.write(
    'GET /ADA HTTP/1.1\r\nHost: router.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n',
  )
  expect(String((await once(socket, 'data'))[0])).toContain('101 Switching Protocols')
  socket.write('to ada\n')
  expect(String((await once(socket, 'data'))[0])).toBe('ada to ada\n')
  socket.destroy()
})

test('a suspended machine keeps its memory, starts while it is being suspended, and loses it with a stop', async () => {
  await newApp('kept')
  const machine = await run('kept', counter())
  const count = async () => (await page('kept')).body
  await expect.poll(count).toBe('home 1')
  await api('POST', `${machine.path}/suspend`)
  await wait(machine.path, 'state=suspended')
  expect(await api('POST', `${machine.path}/start`)).toMatchObject({
    body: { previous_state: 'suspended' },
  })
  await wait(machine.path, 'state=started')
  expect(await count()).toBe('home 2')

  await api('POST', `${machine.path}/suspend`)
  expect(await api('POST', `${machine.path}/start`)).toMatchObject({ status: 200 })
  await wait(machine.path, 'state=started')
  expect(await count()).toBe('home 3')

  await api('POST', `${machine.path}/suspend`)
  await wait(machine.path, 'state=suspended')
  await api('POST', `${machine.path}/stop`)
  await wait(machine.path, 'state=stopped')
  const log = (await api('GET', `${machine.path}/logs?lines=50`)).body
  expect(JSON.stringify(log)).not.toContain('got a signal')
  await api('POST', `${machine.path}/start`)
  await wait(machine.path, 'state=started')
  await expect.poll(count).toBe('home 1')
})

test('a network policy closes a direction but for its ports, from the next start on', async () => {
  await newApp('policed', { network: 'policed' })
  await newApp('target', { network: 'policed' })
  await api('POST', '/apps/target/ip_assignments', { type: 'private_v6', network: 'policed' })
  const target = await run('target', counter({ env: { SECOND: '9090' } }))
  const metadata = { role: 'closed' }
  const [closed, free] = await Promise.all(
    [{ metadata }, {}].map((more) => run('policed', counter(more))),
  )
  const to = [`${target.ip}:8080`, `${target.ip}:9090`, 'target.flycast:80']
  const seen = async (from: Running) => (await perl(from, reach, ...to)).replace(/\d+/g, 'n')
  expect(await seen(closed!)).toBe('home n\nhome n\nhome n\n')

  const path = '/apps/policed/network_policies'
  const rule = (direction: string, port: number) => ({
    action: 'allow',
    direction,
    ports: [{ protocol: 'tcp', port }],
  })
  const rules = [rule('egress', 8080), rule('ingress', 9090)]
  const made = await api('POST', path, { name: 'web', selector: { metadata }, rules })
  expect(await seen(closed!)).toBe('home n\nhome n\nhome n\n')
  for (const machine of [closed!, free!]) await restart(machine)
  expect(await seen(closed!)).toBe('home n\n-\nhome n\n')
  expect(await seen(free!)).toBe('home n\nhome n\nhome n\n')
  // Requests through the proxy arrive, those of a machine do not.
  await expect.poll(async () => (await page('policed')).status).toBe(200)
  expect(await perl(target, reach, `${closed!.ip}:8080`)).toBe('-\n')

  await api('DELETE', `${path}/${made.body.id}`)
  await restart(closed!)
  expect(await seen(closed!)).toBe('home n\nhome n\nhome n\n')
})

test('a preview in its own network logs, runs commands, stops as configured, and destroys itself', async () => {
  await newApp('preview', { network: 'preview' })
  const slow = `$SIG{TERM} = sub { print "got TERM\n"; exit 5 }; print "up\n"; sleep 1 while 1`
  const config = {
    image,
    init: { exec: ['/usr/bin/perl', '-e', `$| = 1; ${slow}`] },
    auto_destroy: true,
    restart: { policy: 'no' },
    stop_config: { signal: 'SIGTERM', timeout: '20s' },
    metadata: { owner: 'ada' },
  }
  const machine = await run('preview', config)
  expect(await perl(machine, 'print "inside $ENV{FLY_MACHINE_ID}"')).toBe(`inside ${machine.id}`)
  const logs = async () => {
    const answer = await fetch(`${fly.flyApi}/api/v1/apps/preview/logs?instance=${machine.id}`, {
      headers: { authorization: `Bearer ${token}` },
    })
    const { data } = (await answer.json()) as { data: { attributes: { message: string } }[] }
    return data.map(({ attributes }) => attributes.message)
  }
  await expect.poll(logs).toContain('up')
  await api('POST', `${machine.path}/stop`)
  await wait(machine.path, 'state=destroyed')
  const { events } = (await api('GET', machine.path)).body
  expect(events.map(trail)).toEqual([
    'destroy/destroyed/flyd',
    'exit/stopped/flyd',
    'stop/stopping/user',
    'start/started/flyd',
    'launch/created/user',
    'launch/pending/flyd',
  ])
  expect(events[1].request.exit_event).toMatchObject({ exit_code: 5, requested_stop: true })
  expect(await logs()).toContain('got TERM')

  const failing = { ...config, restart: { policy: 'on-failure', max_retries: 1 } }
  const again = await api('POST', '/apps/preview/machines', {
    config: { ...failing, init: { exec: ['/usr/bin/perl', '-e', 'exit 3'] } },
  })
  const path = `/apps/preview/machines/${again.body.id}`
  await wait(path, 'state=destroyed')
  const types = (await api('GET', path)).body.events.map(({ type }: any) => type)
  expect(types.filter((type: string) => type === 'exit')).toHaveLength(2)
  expect((await api('GET', '/apps/preview/machines?metadata.owner=ada')).body).toEqual([])
})

/** Reads pages at `host:port[:name][/path]`, one per line; `-` where nothing answers. */
const reach = String.raw`
use Socket; use IO::Socket::INET; $| = 1;
for (@ARGV) {
  my ($to, $path) = /^([^\/]*)(.*)/; my ($host, $port, $name) = split /:/, $to; my $page = '';
  if (my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 1)) {
    print $s "GET " . ($path || '/') . " HTTP/1.0\r\nHost: " . ($name // $host) . "\r\n\r\n";
    local $/; my $all = <$s> // ''; $page = $1 if $all =~ /200 OK.*\r\n\r\n(.*)/s;
  }
  print $page || '-', "\n";
}`

/**
 * A server that counts its requests. A path that names a variable is answered with that variable as
 * `fly-replay`, unless the request is a replay. It says who it is, and the state of the replay.
 */
const server = String.raw`
use IO::Socket::INET; use IO::Select; $| = 1; my $count = 0;
$SIG{INT} = sub { print "got a signal\n"; exit 0 };
my $all = IO::Select->new(map { IO::Socket::INET->new(LocalPort => $_, Listen => 50, ReuseAddr => 1) or die } 8080, $ENV{SECOND} || ());
my $me = $ENV{NAME} || 'home';
while (my @ready = $all->can_read) { for my $ready (@ready) {
  my $one = $ready->accept; my $path = (split / /, <$one>)[1]; my $upgrade = 0; my $source;
  while (<$one>) { $upgrade = 1 if /^upgrade:/i; $source = $1 // '' if /^fly-replay-src:.*?(?:state=(\w+))?\r/i; last if /^\r?\n/ }
  my $replay = $ENV{substr $path, 1};
  if ($replay && !defined $source) { print $one "HTTP/1.1 204 OK\r\nConnection: close\r\nfly-replay: $replay\r\n\r\n"; close $one; next }
  if ($upgrade) { print $one "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"; print $one "$me $_" while <$one>; next }
  my $body = join ' ', $me, ++$count, defined $source ? "app=$source" : ();
  print $one "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ".length($body)."\r\n\r\n$body"; close $one;
} }`

type Running = { id: string; ip: string; path: string; app: string }

const web = (more: object = {}) => ({
  image,
  services: [{ protocol: 'tcp', internal_port: 8080, ports: [{ port: 80, handlers: ['http'] }] }],
  ...more,
})

const counter = (more: object = {}) =>
  web({ init: { exec: ['/usr/bin/perl', '-e', server] }, ...more })

const trail = ({ type, status, source }: any): string => `${type}/${status}/${source}`

/** Reads an app's page through the proxy. */
async function page(app: string, path = '/'): Promise<{ status: number; body: string }> {
  const headers = { host: `${app}.localhost` }
  const call = request({ host: '127.0.0.1', port: ports.proxyPort, path, headers }).end()
  const [answer] = await once(call, 'response')
  return { status: answer.statusCode, body: await text(answer) }
}

async function restart({ path }: Running): Promise<void> {
  const newest = (await api('GET', path)).body.events[0].id
  await api('POST', `${path}/restart`)
  await wait(path, `state=started&from_event_id=${newest}`)
}

async function api(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: any }> {
  const answer = await fetch(`${fly.flyApi}/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  const said = await answer.text()
  return { status: answer.status, body: said ? JSON.parse(said) : null }
}

async function newApp(name: string, more: object = {}): Promise<void> {
  const made = await api('POST', '/apps', { name, org_slug: 'personal', ...more })
  expect(made).toMatchObject({ status: 201 })
}

async function run(app: string, config: object, more: object = {}): Promise<Running> {
  const { status, body } = await api('POST', `/apps/${app}/machines`, { config, ...more })
  expect({ status, error: body.error }).toEqual({ status: 200 })
  const path = `/apps/${app}/machines/${body.id}`
  await wait(path, 'state=started')
  return { id: body.id, ip: body.private_ip, path, app }
}

async function wait(path: string, query: string) {
  const answer = await api('GET', `${path}/wait?timeout=20&${query}`)
  expect(answer).toMatchObject({ status: 200 })
}

/** Runs a Perl script in a machine. */
async function perl(machine: Running, script: string, ...words: string[]): Promise<string> {
  const command = ['/usr/bin/perl', '-e', script, ...words]
  const { body } = await api('POST', `${machine.path}/exec`, { command, timeout: 30 })
  expect(body).toMatchObject({ exit_code: 0 })
  return body.stdout
}
