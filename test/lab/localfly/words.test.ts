import { expect, test } from 'vitest'
import { checksOf } from '../../../lab/localfly/checks.ts'
import { durationMs } from '../../../lab/localfly/duration.ts'
import { mayRestart, exitText, recentRestarts } from '../../../lab/localfly/exits.ts'
import { parseImage } from '../../../lab/localfly/image-ref.ts'
import { withoutNulls } from '../../../lab/localfly/machine-config.ts'
import { scopeOf } from '../../../lab/localfly/tokens.ts'
import { rootFields } from '../../../lab/localfly/root-fields.ts'

test('durations are Go strings or nanoseconds', () => {
  const read = ['1m30s', '500ms', '1.5s', 2_000_000_000, undefined, '', 'soon', '45'].map((each) =>
    durationMs(each, 7),
  )
  expect(read).toEqual([90_000, 500, 1500, 2000, 7, 7, 7, 7])
})

test.each([
  [
    'registry.fly.io/app:deployment-1@sha256:a',
    'registry.fly.io',
    'app',
    'deployment-1',
    'sha256:a',
  ],
  ['127.0.0.1:5001/app@sha256:a', '127.0.0.1:5001', 'app', '', 'sha256:a'],
  ['nginx', 'docker.io', 'library/nginx', 'latest', ''],
  ['flyio/hellofly:v2', 'docker.io', 'flyio/hellofly', 'v2', ''],
])('%s is parsed', (image, registry, repository, tag, digest) => {
  expect(parseImage(image)).toEqual({ registry, repository, tag, digest, labels: {} })
})

test.each([
  { restart: null, code: 0, before: 0, again: false },
  { restart: null, code: 1, before: 9, again: true },
  { restart: { policy: 'on-failure' }, code: 1, before: 10, again: false },
  { restart: { policy: 'on-failure', max_retries: 2 }, code: 1, before: 2, again: false },
  { restart: { policy: 'always' }, code: 0, before: 99, again: true },
  { restart: { policy: 'no' }, code: 1, before: 0, again: false },
])(
  'after exit code $code and $before restarts, $restart starts again: $again',
  ({ restart, code, before, again }) => {
    expect(mayRestart({ image: 'x', restart }, { code, oomKilled: false }, before)).toBe(again)
  },
)

test('an end by a signal is a crash unless it was requested', () => {
  const killed = { code: 137, oomKilled: true }
  const crash = exitText(killed, { requested: false, restarting: true }, 1)
  expect(crash).toMatchObject({
    type: 'crash',
    request: { exit_event: { exit_code: -1, guest_signal: 9 } },
  })
  expect(exitText(killed, { requested: true, restarting: false }, 0).type).toBe('exit')

  const plain = exitText({ code: 3, oomKilled: false }, { requested: false, restarting: false }, 0)
  expect(plain).toMatchObject({
    type: 'exit',
    request: { exit_event: { exit_code: 3 }, restart_count: 0 },
  })
})

test('checks of services are named by number, type and port', () => {
  const services = [
    { internal_port: 8080, checks: [{ type: 'tcp' }, { type: 'http', port: 9000 }] },
  ]
  const names = checksOf({ image: 'x', checks: { mine: { type: 'tcp', port: 1 } }, services }).map(
    ([name]) => name,
  )
  expect(names).toEqual(['mine', 'servicecheck-00-tcp-8080', 'servicecheck-01-http-9000'])
})

test('a token works in each of its schemes, and only for its scope until it expires', () => {
  const tokens = new Map([
    ['FlyV1 fm2_app', { app: 'shop', until: Date.now() + 60_000 }],
    ['FlyV1 fm2_old', { app: 'shop', until: Date.now() - 1 }],
  ])
  const basic = (password: string) => `Basic ${Buffer.from(password).toString('base64')}`
  const scope = (header?: string) => scopeOf(header, 'secret', tokens)
  expect(['Bearer secret', 'FlyV1 secret', basic('x:secret')].map(scope)).toEqual([
    'org',
    'org',
    'org',
  ])
  expect(['FlyV1 fm2_app', 'Bearer FlyV1 fm2_app', basic('x:fm2_app')].map(scope)).toEqual(
    Array.from({ length: 3 }, () => ({ app: 'shop' })),
  )
  expect(
    [undefined, '', 'Bearer ', 'Bearer wrong', basic('y:secret'), 'FlyV1 fm2_old'].map(scope),
  ).toEqual([null, null, null, null, null, null])
})

test('the root fields of a query are found by alias and name', () => {
  const query = `query Named($appName: String!) { # {not this}
    appcompact:app(name: $appName, note: "}") { id role: name }
    nearestRegion { code }
    canPerform
  }
  fragment More on App { id }`
  expect(rootFields(query)).toEqual([
    ['appcompact', 'app'],
    ['nearestRegion', 'nearestRegion'],
    ['canPerform', 'canPerform'],
  ])
  expect(rootFields('{ viewer { ... on User { id } } }')).toEqual([['viewer', 'viewer']])
})

test('null fields are absent at any depth', () => {
  const config = { image: 'x', statics: null, services: [{ force_instance_key: null, ports: [] }] }
  expect(withoutNulls(config)).toEqual({ image: 'x', services: [{ ports: [] }] })
})

test('only the restarts of the last five minutes count', () => {
  expect(recentRestarts([1, 2, 300_000], 300_001)).toEqual([2, 300_000])
  expect(recentRestarts(undefined, 1)).toEqual([])
})
