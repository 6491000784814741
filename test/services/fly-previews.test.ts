import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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

/** Reads pages at `host:port` or `host:port:name`, one per line; `-` where nothing answers. */
const reach = String.raw`
use Socket; use IO::Socket::INET; $| = 1;
for (@ARGV) {
  my ($host, $port, $name) = split /:/; my $page = '';
  if (my $s = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port, Timeout => 1)) {
    print $s "GET / HTTP/1.0\r\nHost: " . ($name // $host) . "\r\n\r\n";
    local $/; my $all = <$s> // ''; $page = $1 if $all =~ /200 OK.*\r\n\r\n(.*)/s;
  }
  print $page || '-', "\n";
}`

type Running = { id: string; ip: string; path: string; app: string }

const web = (more: object = {}) => ({
  image,
  services: [{ protocol: 'tcp', internal_port: 8080, ports: [{ port: 80, handlers: ['http'] }] }],
  ...more,
})

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
