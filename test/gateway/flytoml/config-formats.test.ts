import { expect, test } from 'vitest'
import { parse } from 'smol-toml'
import { Problem } from '#api/problem.ts'
import { readFlyConfig, type FlyToml } from '../../../gateway/src/flytoml/read-fly-toml.ts'

const toml = `
app = "web"
primary_region = "fra"
kill_timeout = 5
[env]
A = "1"
BIG = 12
[build]
dockerfile = "Dockerfile.web"
ignorefile = "web.ignore"
compression = "gzip"
compression_level = 3
[[mounts]]
source = "ledger"
destination = "/ledger"
initial_size = 3
[http_service]
internal_port = 8080
auto_stop_machines = "stop"
[[http_service.checks]]
path = "/up"
interval = "5s"
`
const yaml = `
app: web
primary_region: fra
kill_timeout: 5
env:
  A: "1"
  BIG: 12
build: { dockerfile: Dockerfile.web, ignorefile: web.ignore, compression: gzip, compression_level: 3 }
mounts:
  - source: ledger
    destination: /ledger
    initial_size: 3
http_service: &service
  internal_port: 8080
  auto_stop_machines: stop
  checks: [{ path: /up, interval: 5s }]
`

function read(text: string, path: string): { file: FlyToml; warnings: string[] } {
  const warnings: string[] = []
  const file = readFlyConfig(
    text,
    () => null,
    (words) => warnings.push(words),
    path,
  )
  return { file, warnings }
}
const refused = (text: string, path: string): Problem => {
  try {
    read(text, path)
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  return expect.unreachable('it was taken')
}

test('TOML, JSON and YAML that say the same make the same', () => {
  const expected = read(toml, 'fly.toml').file
  expect(expected.groups.get('app')).toMatchObject({
    stop_config: { timeout: '5s' },
    env: { A: '1', BIG: '12' },
    mounts: [{ name: 'ledger', path: '/ledger' }],
  })
  expect(expected.volumes).toEqual({ ledger: { size_gb: 3 } })
  expect(read(JSON.stringify(parse(toml)), 'fly.json').file).toEqual(expected)
  expect(read(yaml, 'fly.yaml').file).toEqual(expected)
  expect(read(yaml, 'fly.yml').file).toEqual(expected)

  const asWindows = (text: string) => `\ufeff${text.replaceAll('\n', '\r\n')}`
  expect(read(asWindows(toml), 'fly.toml').file).toEqual(expected)
  expect(read(asWindows(JSON.stringify(parse(toml))), 'fly.json').file).toEqual(expected)
  expect(read(asWindows(yaml), 'fly.yaml').file).toEqual(expected)
})

test('files that [build] names are beside the config file', () => {
  expect(read(toml, 'deploy/fly.staging.toml').file.build).toMatchObject({
    dockerfile: 'deploy/Dockerfile.web',
    ignorefile: 'deploy/web.ignore',
  })
})

test('problems and warnings name the file that was read', () => {
  expect(refused('kill_timeout: soon', 'fly.yaml').message).toMatch(
    /^fly\.yaml: kill_timeout must be/,
  )
  expect(refused('{"env": 1}', 'fly.json').message).toMatch(/^fly\.json: env must be/)
  expect(refused('a: [', 'fly.yaml').message).toMatch(/^fly\.yaml is not valid YAML: /)
  expect(refused('{"a": }', 'fly.json').message).toMatch(/^fly\.json is not valid JSON: /)
  expect(refused('a = ', 'fly.staging.toml').message).toMatch(
    /^fly\.staging\.toml is not valid TOML: /,
  )
  expect(refused('- a', 'fly.yaml').message).toMatch(/^fly\.yaml: it must be a table/)
  expect(read('colour: red', 'fly.yaml').warnings).toEqual([
    'fly.yaml: colour is not known and is ignored.',
  ])
})

test('an empty YAML file says nothing', () => {
  expect([...read('# nothing yet\n', 'fly.yaml').file.groups.keys()]).toEqual(['app'])
})

test('YAML is read as in Go: merged tables, texts like yes, and numbers that are whole', () => {
  const text = `
env: { FLAG: yes, DAY: 2026-01-02, HEX: 0x10, BIG: 1234567, HALF: 0.5 }
checks:
  one: &check { type: tcp, port: 1, interval: 2000 }
  two: { <<: *check, port: 2 }
`
  const { groups } = read(text, 'fly.yaml').file
  expect(groups.get('app')).toMatchObject({
    env: { FLAG: 'yes', DAY: '2026-01-02', HEX: '16', BIG: '1234567', HALF: '0.5' },
    checks: { one: { port: 1, interval: '2s' }, two: { port: 2, interval: '2s' } },
  })
})

test.each([
  ['a name twice', 'app: a\napp: b'],
  ['many documents', 'app: a\n---\napp: b'],
  ['lists in lists', `a: ${'['.repeat(2000)}${']'.repeat(2000)}`],
  [
    'an alias of an alias of an alias',
    'a: &a [x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c]',
  ],
  ['too many lines', 'a: 1\n'.repeat(6000)],
])('YAML with %s is refused', (_, text) => {
  expect(refused(text, 'fly.yaml').code).toBe('fly-config-invalid')
})

const service = '[[services]]\ninternal_port = 8080\n'
test.each([
  ['[http_service]\nforce_https = true', 'http_service.internal_port', 'is missing'],
  ['[http_service]\ninternal_port = 0', 'http_service.internal_port', 'is missing'],
  ['[http_service]\ninternal_port = 70000', 'http_service.internal_port', '1 to 65535'],
  ['[[services]]\nprotocol = "tcp"', 'services[0].internal_port', 'is missing'],
  [`${service}ports = [{ port = 99999 }]`, 'services[0].ports[0].port', '1 to 65535'],
  ['[checks.up]\ntype = "tcp"\nport = 0', 'checks.up.port', '1 to 65535'],
  ['[metrics]\nport = 70000', 'metrics[0].port', '1 to 65535'],
  ['[mounts]\nsource = "data"', 'mounts[0].destination', 'a path in the machine'],
  [
    '[mounts]\nsource = "my-data"\ndestination = "/d"',
    'mounts[0].source',
    'not a valid name of a volume',
  ],
  [
    '[mounts]\nsource = "d"\ndestination = "/d"\ninitial_size = "1tb"',
    'mounts[0].initial_size',
    '500gb at most',
  ],
  [
    '[[mounts]]\nsource = "a"\ndestination = "/a"\n[[mounts]]\nsource = "b"\ndestination = "/b"',
    'mounts[1]',
    'one volume at most',
  ],
  [
    '[[files]]\nguest_path = "etc/x"\nraw_value = "x"',
    'files[0].guest_path',
    'a path in the machine',
  ],
  ['swap_size_mb = -1', 'swap_size_mb', '0 or more'],
])('%s is refused before the build', (text, key, words) => {
  const { code, facts, message } = refused(text, 'fly.toml')
  expect([code, facts['key']]).toEqual(['fly-config-invalid', key])
  expect(message).toContain(words)
})

test.each([
  ['colour = 9223372036854775808', 'colour', 'does not fit in 64 bits'],
  ['swap_size_mb = 9223372036854775807', 'swap_size_mb', 'a whole number'],
  ['kill_timeout = 1e100', 'kill_timeout', '292 years'],
  ['kill_timeout = inf', 'kill_timeout', 'a finite number'],
  ['[checks.up]\ntype = "tcp"\nport = 1\ninterval = 1e17', 'checks.up.interval', '292 years'],
  ['[deploy]\nwait_timeout = 1e100', 'deploy.wait_timeout', '292 years'],
  ['[deploy]\nmax_unavailable = nan', 'deploy.max_unavailable', 'a finite number'],
  ['[[vm]]\nmemory = "1e400gb"', 'vm[0].memory', 'must be a size'],
  ['[[vm]]\nmemory = 1e100', 'vm[0].memory', 'must be a size'],
  ['[[vm]]\nmemory = -5', 'vm[0].memory', 'must be a size'],
  ['[[vm]]\ncpus = 1e100', 'vm[0].cpus', 'a whole number'],
  [
    '[mounts]\nsource = "d"\ndestination = "/d"\ninitial_size = "1e400gb"',
    'mounts[0].initial_size',
    '1e400gb',
  ],
  ['[[services]]\ninternal_port = inf', 'services[0].internal_port', 'a finite number'],
  ['[[services]]\ninternal_port = 1e100', 'services[0].internal_port', 'a whole number'],
  [
    'machine_config = \'{"guest": {"memory_mb": 1e400}}\'',
    'machine_config.guest.memory_mb',
    'a finite number',
  ],
])('the absurd number of %s is refused by its key', (text, key, words) => {
  const { code, facts, message } = refused(text, 'fly.toml')
  expect([code, facts['key']]).toEqual(['fly-config-invalid', key])
  expect(message).toContain(words)
})
