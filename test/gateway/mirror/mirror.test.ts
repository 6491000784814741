import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { MirrorStatus } from '../../../api/status/mirror.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { type MirrorSettings, noMirror, OpenMirror } from '../../../gateway/src/mirror/mirror.ts'
import { PushRegistry } from '../../fakes/push-registry.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }))
afterEach(() => void vi.useRealTimers())

const authorization = () => 'Basic eDpmbHk='
const limits = { connectMs: 3000, answerMs: 10_000, windowMs: 10_000, minBytesPerS: 1024 }

async function start(more: Partial<MirrorSettings> = {}) {
  await using opening = new AsyncDisposableStack()
  const registry = opening.use(await PushRegistry.start())
  const mirror = opening.use(
    await OpenMirror.open(
      {
        mirror: { origin: registry.origin, registry: 'registry.fly.io', authorization },
        port: 0,
        limits,
        app: 'builder',
        machine: 'm1',
        copyMs: 0,
        maxFailures: 3,
        pauseMs: 300_000,
        probeMs: 60_000,
        ...more,
      },
      { registry, log: openLog('silent') },
    ),
  )
  const open = opening.move()
  return { registry, mirror, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

test('without a mirror, each push goes to the registry and no reason is given', () => {
  const mirror = noMirror('TARMAC_PUSH_MIRROR is off.')
  expect(mirror.begin('web')).toEqual({ push: null, reason: null })
  expect(MirrorStatus.parse(mirror.status())).toMatchObject({
    state: 'off',
    detail: 'TARMAC_PUSH_MIRROR is off.',
    pushes: { mirror: 0, fallback: 0, registry: 1 },
  })
})

test('the mirror is used only after a test image went through it to the registry', async () => {
  await using lab = await start()
  expect(lab.mirror.begin('web')).toEqual({
    push: null,
    reason: 'The mirror is not used now. The first test of the mirror has not ended yet.',
  })
  await lab.mirror.probe()
  expect(MirrorStatus.parse(lab.mirror.status())).toMatchObject({
    state: 'up',
    detail: 'A test image went through the mirror to the registry.',
    url: lab.registry.origin,
    lastProbe: { ok: true, anonymous: 401, withLogin: 200 },
    nextProbeAt: null,
  })
  expect([...lab.registry.manifests.keys()]).toContain('builder:tarmac-probe')
  const { push } = lab.mirror.begin('web')
  expect(push).toMatchObject({ app: 'web', machine: 'm1', registry: 'registry.fly.io' })
  push?.succeeded()
  expect(lab.mirror.status().pushes).toEqual({ mirror: 1, fallback: 0, registry: 1 })
})

test('without an app of its own, the gateway tests only the login', async () => {
  await using lab = await start({ app: null })
  await lab.mirror.probe()
  expect(lab.mirror.status()).toMatchObject({ state: 'up', lastProbe: { pushMs: null } })
  expect(lab.registry.manifests.size).toBe(0)
})

const faults: [string, (lab: PushRegistry) => void, string][] = [
  [
    'refuses the login',
    (registry) =>
      (registry.mischief = (asked, _request, response) =>
        asked.headers.authorization !== undefined && response.writeHead(401).end()),
    'The mirror answered 401 to the gateway’s login.',
  ],
  [
    'refuses a push',
    (registry) =>
      (registry.mischief = (asked, _request, response) =>
        asked.method === 'POST' && response.writeHead(403).end('only builders')),
    'The mirror answered 403 (POST /v2/builder/blobs/uploads/: only builders).',
  ],
  [
    'does not return what it got',
    (registry) =>
      (registry.mischief = ({ method, url }, _request, response) =>
        method === 'GET' && url.pathname.includes('manifests') && response.end('other')),
    'The mirror returned another image than the one that it was sent.',
  ],
  [
    'never copies to the registry',
    (registry) => (registry.find = async () => null),
    'The mirror did not copy a test image to registry.fly.io within 0 s.',
  ],
]
test.each(faults)('a mirror that %s is not used', async (_name, spoil, detail) => {
  await using lab = await start()
  await lab.mirror.probe() // the first test, which may pass
  spoil(lab.registry)
  await lab.mirror.probe()
  const { state, lastProbe, nextProbeAt } = lab.mirror.status()
  expect({ state, detail: lastProbe?.detail }).toEqual({ state: 'down', detail })
  expect(nextProbeAt).toBe(new Date(Date.now() + 60_000).toISOString())
})

test('a mirror that is down is tested again after 1, 2, 4 minutes, and used when a test passes', async () => {
  await using lab = await start()
  await lab.mirror.probe()
  lab.registry.mischief = (_asked, _request, response) => response.writeHead(503).end()
  await lab.mirror.probe()
  for (const minutes of [1, 2, 4]) {
    expect(lab.mirror.status().nextProbeAt).toBe(
      new Date(Date.now() + minutes * 60_000).toISOString(),
    )
    vi.advanceTimersByTime(minutes * 60_000)
    await lab.mirror.probe()
  }
  lab.registry.mischief = () => false
  await lab.mirror.probe()
  expect(lab.mirror.status().state).toBe('up')
})

const fail = (mirror: OpenMirror, why: string) => mirror.begin('web').push?.failed(why)

test('a failed push starts a test at once, and the mirror stays in use only if it passes', async () => {
  await using lab = await start()
  await lab.mirror.probe()
  fail(lab.mirror, 'answered 401')
  const before = lab.mirror.status().lastProbe?.at
  vi.advanceTimersByTime(1000)
  await lab.mirror.probe()
  expect(lab.mirror.status()).toMatchObject({ state: 'up', breaker: { failures: 1, limit: 3 } })
  expect(before).toBeDefined()

  lab.registry.mischief = (_asked, _request, response) => response.writeHead(401).end()
  fail(lab.mirror, 'answered 401')
  await lab.mirror.probe()
  expect(lab.mirror.status()).toMatchObject({
    state: 'down',
    pushes: { mirror: 0, fallback: 2, registry: 0 },
  })
})

test('three failed pushes in a row open the breaker, although tests pass; a success counts from zero', async () => {
  await using lab = await start()
  await lab.mirror.probe()
  fail(lab.mirror, 'answered 500')
  await lab.mirror.probe()
  lab.mirror.begin('web').push?.succeeded()
  for (let time = 0; time < 3; time++) fail(lab.mirror, 'answered 500')
  await lab.mirror.probe() // one that ran when the breaker opened does not close it
  const detail = '3 pushes in a row failed; at last, the mirror answered 500.'
  expect(lab.mirror.status()).toMatchObject({
    state: 'down',
    detail,
    nextProbeAt: new Date(Date.now() + 300_000).toISOString(),
  })
  expect(lab.mirror.begin('web')).toEqual({
    push: null,
    reason: `The mirror is not used now. ${detail}`,
  })

  vi.advanceTimersByTime(300_000)
  await lab.mirror.probe()
  expect(lab.mirror.status()).toMatchObject({ state: 'up', breaker: { failures: 0 } })
})
