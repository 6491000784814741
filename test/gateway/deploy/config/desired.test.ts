import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { desiredApp } from '../../../../gateway/src/deploy/config/desired.ts'
import { formatDuration, parseDuration } from '../../../../gateway/src/go/duration.ts'

const desired = (flyToml: string | null, options: Record<string, unknown> = {}) =>
  desiredApp({
    flyToml,
    app: 'web',
    options: DeploymentOptions.parse(options),
    defaults: { region: 'fra' },
  })

test('without fly.toml an app listens on 8080, sleeps when idle, and has a TCP check', () => {
  const { groups, internalPort, region, guest, warnings } = desired(null)
  expect({ internalPort, region, guest, warnings }).toEqual({
    internalPort: 8080,
    region: 'fra',
    guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 512 },
    warnings: [],
  })
  expect(groups).toMatchObject([
    {
      name: 'app',
      whenNone: 'one',
      config: {
        env: { PORT: '8080' },
        services: [
          { autostart: true, autostop: true, internal_port: 8080, checks: [{ type: 'tcp' }] },
        ],
      },
    },
  ])
})

test('options override fly.toml, and fly.toml overrides the defaults', () => {
  const toml =
    'app = "web"\nprimary_region = "ams"\n[env]\nA = "file"\nB = "file"\n[http_service]\ninternal_port = 3000'
  const given = desired(toml, { env: { B: 'option' }, region: 'iad' })
  expect(given).toMatchObject({ internalPort: 3000, region: 'iad', warnings: [] })
  expect(given.groups[0]?.config.env).toEqual({
    A: 'file',
    B: 'option',
    PORT: '3000',
    PRIMARY_REGION: 'ams',
    FLY_PROCESS_GROUP: 'app',
  })
  expect(desired(toml).region).toBe('ams')
  expect(desired(`${toml}\n[env2]\n`, { env: { PORT: '9' } }).groups[0]?.config.env?.['PORT']).toBe(
    '9',
  )
})

test('each process group has its own command, and only the named group gets the service', () => {
  const toml =
    '[processes]\nweb = "node server.js --name \'a b\'"\njob = "node job.js"\n[http_service]\ninternal_port = 1\nprocesses = ["web"]'
  const { groups } = desired(toml)
  expect(
    groups.map(({ name, config }) => [
      name,
      config.init?.['cmd'],
      config.services?.length,
      config.env?.['PORT'],
    ]),
  ).toEqual([
    ['job', ['node', 'job.js'], undefined, undefined],
    ['web', ['node', 'server.js', '--name', 'a b'], 1, '1'],
  ])
})

test('ignored settings are reported', () => {
  const toml =
    'app = "other"\ncolour = "red"\n[http_service]\ninternal_port = 1\n[[http_service.checks]]\ninterval = 15000'
  expect(desired(toml).warnings).toEqual([
    'fly.toml: colour is not known and is ignored.',
    expect.stringContaining('http_service.checks[0].interval has no unit and is taken as 15µs'),
    expect.stringContaining('http_service.checks[0].interval is outside 1 s to 1 min'),
    'fly.toml is for app other; it is used for web, as the request says.',
  ])
})

const refusals: [string, string, string][] = [
  [
    '[http_service]\ninternal_port = "eighty"',
    'http_service.internal_port',
    'must be a whole number, not "eighty"',
  ],
  [
    '[http_service]\nauto_stop_machines = "sometimes"',
    'http_service.auto_stop_machines',
    'none of off, stop, suspend',
  ],
  ['[processes]\nweb = "a \'b"', 'processes.web', 'a quote that is not closed'],
  ['[[vm]]\nsize = "huge"', 'vm[0].size', 'is not a machine size'],
  ['[checks.up]\ntype = "tcp"', 'checks.up.port', 'is missing'],
  ['kill_timeout = "45"', 'kill_timeout', 'a duration with its unit'],
  ['[deploy]\nstrategy = "yolo"', 'deploy.strategy', 'none of rolling'],
]
test.each(refusals)('%s is refused by its key', (toml, key, words) => {
  expect(() => desired(toml)).toThrow(Problem)
  expect(() => desired(toml)).toThrow(
    expect.objectContaining({ code: 'fly-config-invalid', facts: { key } }),
  )
  expect(() => desired(toml)).toThrow(words)
})

test('a TOML syntax error is reported with its position', () => {
  expect(() => desired('a = ')).toThrow('fly.toml is not valid TOML')
})

test('the strategy comes from the option, then fly.toml, then rolling; one that does not suit the app is refused', () => {
  const canary = '[deploy]\nstrategy = "canary"\nmax_unavailable = 2\nwait_timeout = "90s"'
  expect(desired(canary)).toMatchObject({ strategy: 'canary', maxUnavailable: 2, waitMs: 90_000 })
  expect(desired(canary, { strategy: 'immediate' }).strategy).toBe('immediate')
  expect(desired(null)).toMatchObject({
    strategy: 'rolling',
    maxUnavailable: 0.33,
    waitMs: null,
    releaseCommand: null,
  })
  const mounts = '[mounts]\nsource = "data"\ndestination = "/data"\ninitial_size = "3gb"'
  expect(desired(mounts).volumes).toEqual({ data: { size_gb: 3 } })
  expect(() => desired(mounts.replace('3gb', '1e400gb'))).toThrow('must be')

  const notApplicable = (toml: string | null, strategy: string) => () => desired(toml, { strategy })
  const refusal = expect.objectContaining({ code: 'strategy-not-applicable' })
  expect(notApplicable(mounts, 'canary')).toThrow(refusal)
  expect(notApplicable(`${mounts}\n[checks.up]\ntype = "tcp"\nport = 1`, 'bluegreen')).toThrow(
    refusal,
  )
  expect(notApplicable(mounts, 'bluegreen')).toThrow(
    'Strategy bluegreen cannot be used: group app mounts a volume, and a volume is on one machine only. Use strategy=rolling.',
  )
  expect(notApplicable('[http_service]\ninternal_port = 1', 'bluegreen')).toThrow(
    'cannot be used: there is no check that says when the new machines are ready. Add one to a service, or use strategy=rolling.',
  )
  expect(notApplicable(null, 'bluegreen')).not.toThrow()
})

test('durations are read and written as in Go', () => {
  for (const text of ['0s', '15µs', '500ms', '1.5s', '1m30s', '1h0m0s', '2h3m4.5s'])
    expect(formatDuration(parseDuration(text) ?? -1n)).toBe(text)
  expect(parseDuration('45')).toBeNull()
  expect(parseDuration('soon')).toBeNull()
})
