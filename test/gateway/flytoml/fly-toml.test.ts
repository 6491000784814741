import { expect, test } from 'vitest'
import { readFlyToml } from '../../../gateway/src/flytoml/read-fly-toml.ts'

const source: Record<string, string> = { 'machine.json': '{"schedule":"daily"}', 'motd.txt': 'hi' }

function read(toml: string, group = 'app') {
  const warnings: string[] = []
  const readFile = (path: string) => (source[path] === undefined ? null : Buffer.from(source[path]))
  const file = readFlyToml(toml, readFile, (text) => warnings.push(text))
  return { config: file.groups.get(group)!, release: file.releaseCommand?.config ?? null, warnings }
}

const http = '[http_service]\ninternal_port = 80\n'
const port = '[[services]]\ninternal_port = 80\n'
const mount = '[[mounts]]\nsource = "d"\ndestination = "/d"\n'
const groups = '[processes]\na = "1"\nb = "2"\n'

const taken: [string, string, string, unknown][] = [
  [
    'values of env are written as Go writes them',
    '[env]\nA = 1e6\nB = 1979-05-27T07:32:00Z\nC = inf',
    'env',
    {
      A: '1e+06',
      B: '1979-05-27 07:32:00 +0000 UTC',
      C: '+Inf',
      FLY_PROCESS_GROUP: 'app',
    },
  ],
  [
    'env may be a list of tables',
    'env = [[{ A = "1" }], { B = 2 }]',
    'env',
    { A: '1', B: '2', FLY_PROCESS_GROUP: 'app' },
  ],
  [
    'a date is a text',
    'primary_region = 1979-05-27',
    'env',
    { PRIMARY_REGION: '1979-05-27', FLY_PROCESS_GROUP: 'app' },
  ],
  [
    'keys are known in upper case too',
    'Kill_Signal = "SIGINT"',
    'stop_config',
    { signal: 'SIGINT' },
  ],
  ['an empty kill_signal is one', 'kill_signal = ""', 'stop_config', { signal: '' }],
  ['what can be no duration says nothing', 'kill_timeout = true', 'stop_config', undefined],
  [
    'a kill_timeout of [experimental] counts where the top has none',
    '[experimental]\nkill_timeout = 5',
    'stop_config',
    { timeout: '5s' },
  ],
  [
    'a metrics_path of [experimental] alone is metrics',
    '[experimental]\nmetrics_path = "/m"',
    'metrics',
    { path: '/m' },
  ],
  ['metrics that say nothing are none', '[metrics]', 'metrics', undefined],
  ['a port 0 of metrics is left out', '[metrics]\nport = 0\npath = "/"', 'metrics', { path: '/' }],
  [
    'a command of blanks is one',
    '[processes]\napp = "  "\n[experimental]\ncmd = ["x"]',
    'init',
    {},
  ],
  [
    'an empty command is none',
    '[processes]\napp = ""\n[experimental]\ncmd = "x y"',
    'init',
    { cmd: ['x y'] },
  ],
  [
    'no other blanks part words',
    '[processes]\napp = "a\u00a0b c"',
    'init',
    { cmd: ['a\u00a0b', 'c'] },
  ],
  [
    '[[processes]] takes other values as texts',
    '[[processes]]\nname = "app"\ncommand = 2',
    'init',
    { cmd: ['2'] },
  ],
  [
    'the last [[vm]] that names the group wins',
    '[[vm]]\nprocesses = ["app"]\n[[vm]]\nmemory_mb = 300\nprocesses = ["app"]\n[[vm]]',
    'guest.memory_mb',
    300,
  ],
  [
    'a [[vm]] that no group takes is not looked at',
    '[[vm]]\nmemory = "1gb"\n[[vm]]\nsize = "huge"',
    'guest.memory_mb',
    1024,
  ],
  ['memory may be a number of bytes', '[[vm]]\nmemory = "1e9"', 'guest.memory_mb', 953],
  [
    'persist_rootfs may be a number',
    '[[vm]]\npersist_rootfs = 3',
    'guest.persist_rootfs',
    'always',
  ],
  [
    '[[checks]] may be a list',
    '[[checks]]\nname = "up"\ntype = "tcp"\nport = 1',
    'checks',
    { up: { type: 'tcp', port: 1 } },
  ],
  [
    'a check without port takes that of the http_service, even none',
    '[http_service]\n[checks.up]\ntype = "tcp"',
    'checks',
    { up: { type: 'tcp', port: 0 } },
  ],
  [
    'an empty method of a check is one',
    `${http}checks = [{ method = "" }]`,
    'services.0.checks',
    [{ type: 'http', method: '' }],
  ],
  [
    'a header without value is empty',
    `${port}http_checks = [{ headers = [{ name = "A" }] }]`,
    'services.0.checks.0.headers',
    [{ name: 'A', values: [''] }],
  ],
  [
    'a tcp check knows times only',
    `${port}tcp_checks = [{ interval = 2000, path = 1 }]`,
    'services.0.checks',
    [{ type: 'tcp', interval: '2s' }],
  ],
  [
    'a service of nothing but empty checks is none',
    '[[services]]\ntcp_checks = []',
    'services',
    undefined,
  ],
  [
    'ports may be texts and fractions',
    '[[services]]\ninternal_port = "+80"\nports = [{ port = 80.9 }]',
    'services.0',
    { internal_port: 80, ports: [{ port: 80 }], force_instance_key: null },
  ],
  [
    '"soft,hard" may have signs',
    `${port}concurrency = "+1,-2"`,
    'services.0.concurrency',
    { type: 'requests', soft_limit: 1, hard_limit: -2 },
  ],
  [
    'empty lists are left out',
    `${http}tls_options = { alpn = [], default_self_signed = false }`,
    'services.0.ports.1.tls_options',
    { default_self_signed: false },
  ],
  [
    'a replay rule is sent with its zeros',
    `${http}http_options = { replay_cache = [{ name = "c" }] }`,
    'services.0.ports.0.http_options.replay_cache',
    [{ path_prefix: '', ttl_seconds: 0, type: '', name: 'c' }],
  ],
  [
    'a secret comes before a raw value',
    '[[files]]\nguest_path = "/f"\nsecret_name = "S"\nraw_value = "x"',
    'files',
    [{ guest_path: '/f', secret_name: 'S' }],
  ],
  [
    'a file comes before a secret',
    '[[files]]\nguest_path = "/f"\nlocal_path = "motd.txt"\nsecret_name = "S"',
    'files',
    [{ guest_path: '/f', raw_value: 'aGk=' }],
  ],
  [
    'a file of nothing takes the one before it away',
    '[[files]]\nguest_path = "/f"\nraw_value = "x"\n[[files]]\nguest_path = "/f"',
    'files',
    undefined,
  ],
  [
    'durations are exact',
    `${port}tcp_checks = [{ interval = "1h0.000000001s" }]`,
    'services.0.checks.0.interval',
    '1h0m0.000000001s',
  ],
  [
    'machine_config of [experimental] comes first',
    'machine_config = "machine.json"\n[experimental]\nmachine_config = \'{"schedule":"hourly"}\'',
    'schedule',
    'hourly',
  ],
  [
    'machine_config may be a file, read without its zeros',
    'machine_config = "machine.json"',
    'schedule',
    'daily',
  ],
  [
    'machine_config says nothing that a section says',
    'machine_config = \'{"init":{"cmd":["x"],"tty":true},"restart":{"policy":"no"}}\'',
    'init',
    { tty: true },
  ],
  [
    'the image is for the first container where none is named',
    'machine_config = \'{"containers":[{"name":"a"},{"name":"b","image":"x"}]}\'',
    'containers.0.image',
    '.',
  ],
]
test.each(taken)('%s', (_, toml, path, expected) => {
  const { config } = read(toml)
  const found = path
    .split('.')
    .reduce<unknown>((value, key) => (value as Record<string, unknown>)?.[key], config)
  expect(found).toEqual(expected)
})

test('a setting without a group goes to the first group, and `""` names it', () => {
  const toml = `${groups}${mount}${mount}processes = [""]\n${mount}processes = ["b"]`
  expect([read(toml, 'a').config.mounts?.length, read(toml, 'b').config.mounts?.length]).toEqual([
    2, 1,
  ])
})

test('the release command also runs with a swap of 0, and without words where it has none', () => {
  expect(read('swap_size_mb = 0\n[deploy]\nrelease_command = " "').release?.init).toEqual({
    swap_size_mb: 0,
  })
})

const refused: [string, string][] = [
  [`${http}auto_stop_machines = "constructor"`, 'http_service.auto_stop_machines'],
  [`${http}auto_stop_machines = ["stop"]`, 'http_service.auto_stop_machines'],
  [`${http}http_options = { idle_timeout = -1 }`, 'http_service.http_options.idle_timeout'],
  [
    `${http}http_options = { response = { headers = "x" } }`,
    'http_service.http_options.response.headers',
  ],
  [`${http}machine_checks = [{ image = 1 }]`, 'http_service.machine_checks[0].image'],
  [`${port}ports = [{ proxy_proto_options = "v2" }]`, 'services[0].ports[0].proxy_proto_options'],
  [`${port}http_checks = [{ headers = "x" }]`, 'services[0].http_checks[0].headers'],
  [`${port}tcp_checks = [{ interval = "9999999h" }]`, 'services[0].tcp_checks[0].interval'],
  ['services = "80"', 'services'],
  ['services = ["80"]', 'services'],
  ['env = ["A=b"]', 'env'],
  ['console_command = "a \'b"', 'console_command'],
  ['[checks.up]\ntype = "tcp"\nport = "80"', 'checks.up.port'],
  ['[[restart]]\npolicy = "constructor"', 'restart[0].policy'],
  ['[[vm]]\nsize = "constructor"', 'vm[0].size'],
  ['[[vm]]\nmemory = "512Mi"', 'vm[0].memory'],
  ['[[vm]]\npersist_rootfs = "sometimes"', 'vm[0].persist_rootfs'],
  [`${mount}scheduled_snapshots = "true"`, 'mounts[0].scheduled_snapshots'],
  [`${mount}auto_extend_size_increment = "1gb"`, 'mounts[0].auto_extend_size_threshold'],
  [
    `${mount}auto_extend_size_threshold = 80\nauto_extend_size_increment = "1gb"\nauto_extend_size_limit = "0"`,
    'mounts[0].auto_extend_size_limit',
  ],
  ['[build]\nbuildpacks = "x"', 'build.buildpacks'],
  ['[build]\nCompression = "nope"', 'build.Compression'],
  ['[deploy]\nmax_unavailable = inf', 'deploy.max_unavailable'],
  ['[experimental]\nauto_rollback = "true"', 'experimental.auto_rollback'],
  ['colour = nan', 'colour'],
  ['swap_size_mb = 1e19', 'swap_size_mb'],
  ['machine_config = \'{"guest":{"cpus":"two"}}\'', 'machine_config.guest.cpus'],
  ['machine_config = " {}"', 'machine_config'],
  ['container = "c"\nmachine_config = \'{"containers":[{"name":"a","image":"x"}]}\'', 'container'],
]
test.each(refused)('%s is refused by its key', (toml, key) => {
  expect(() => read(toml)).toThrow(
    expect.objectContaining({ code: 'fly-config-invalid', facts: { key } }),
  )
})

test('numbers beyond 64 bits are refused by their key', () => {
  expect(() => read('colour = 9223372036854775808')).toThrow('colour is 9223372036854775808')
})

const warned: [string, string][] = [
  [
    `${port}[[services.ports]]\nport = 80\ncolour = 1`,
    'services[0].ports[0].colour is not known and is ignored.',
  ],
  [
    `${http}[[http_service.checks]]\nport = 1`,
    'http_service.checks[0].port is not known and is ignored.',
  ],
  ['[Env]\nA = "1"', 'Env is read as env.'],
  ['kill_timeout = true', 'kill_timeout is not a duration and is ignored.'],
  [
    '[experimental]\nkill_timeout = 5',
    'experimental.kill_timeout is an old spelling of kill_timeout at the top.',
  ],
  [
    '[[vm]]\nprocesses = ["ghost"]',
    "vm names 'ghost', which is not in [processes]; that part is ignored.",
  ],
  [
    'machine_config = \'{"services":[]}\'',
    'machine_config.services is ignored: write it in a section of fly.toml.',
  ],
  ['[deploy]\nseed_command = "x"', 'deploy.seed_command is not used by the gateway.'],
]
test.each(warned)('%s is accepted with a warning', (toml, text) => {
  expect(read(toml).warnings).toContain(`fly.toml: ${text}`)
})

test('a file that nests without end is refused as a bad fly.toml', () => {
  const deep = [
    `a = ${'['.repeat(50_000)}`,
    `${'a.'.repeat(50_000)}a = 1`,
    `a = ${'{a='.repeat(900)}1${'}'.repeat(900)}`,
  ]
  const json = [`machine_config = '{"containers":${'['.repeat(50_000)}${']'.repeat(50_000)}}'`]
  for (const toml of [...deep, ...json])
    expect(() => read(toml)).toThrow(expect.objectContaining({ code: 'fly-config-invalid' }))
})

test('settings repeated for very many process groups are refused', () => {
  const processes = Array.from({ length: 2000 }, (_, at) => `a${at} = "b"`).join('\n')
  expect(() => read(`[processes]\n${processes}`)).toThrow('has 2000 groups')
})

test('very many warnings, and very long keys, are cut', () => {
  const name = 'n'.repeat(1000)
  const unknown = Array.from({ length: 1000 }, (_, at) => `unknown${at} = 1`).join('\n')
  const { warnings } = read(`[checks.${name}]\ntype = "tcp"\nport = 1\n${unknown}`)
  expect(warnings.length).toBeLessThan(110)
  expect(warnings.every(({ length }) => length < 400)).toBe(true)
  expect(() => read(`[checks.${name}]\ntype = 1`)).toThrow(/^.{0,400}$/)
})

test.each([
  ['1.s', '1s'],
  ['.5s', '500ms'],
  ['+1h2m3.5s', '1h2m3.5s'],
  ['00000000000000000000000000001s', '1s'],
  ['0.10000000000000000000000000000s', '100ms'],
])('the duration %s is %s', (text, written) => {
  expect(read(`kill_timeout = "${text}"`).config['stop_config']).toEqual({ timeout: written })
})

test.each([
  '.s',
  '1',
  '1s1',
  's',
  '1..s',
  '-',
  `${'9'.repeat(100_000)}s`,
  '1'.repeat(100_000),
  '300000000h',
])('the duration %.20s is refused', (text) => {
  expect(() => read(`kill_timeout = "${text}"`)).toThrow(
    expect.objectContaining({ code: 'fly-config-invalid' }),
  )
})
