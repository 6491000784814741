import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { NewEvent } from '../../api/event.ts'
import { DeploymentOptions } from '../../api/options.ts'
import { buildImage } from '../../gateway/src/build/build-image.ts'
import { Buildkit } from '../../gateway/src/buildkit/client.ts'
import { DiskWatch } from '../../gateway/src/host/disk/disk-watch.ts'
import { openLog } from '../../gateway/src/log.ts'
import { OpenMirror } from '../../gateway/src/mirror/mirror.ts'
import { Registry } from '../../gateway/src/registry/registry.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { RegistryMirror } from '../../lab/localfly/mirror.ts'
import type { MirrorOrder } from '../../lab/localfly/mirror-rules.ts'
import { registryFront } from '../../lab/localfly/registry-front.ts'
import { type App, FlyState } from '../../lab/localfly/state.ts'
import { startBuildkitd } from '../../lab/parts/buildkitd.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { treeOf } from '../gateway/buildkit/tree-of.ts'

const [registryPort, frontPort, mirrorPort] = [5551, 5552, 5553]
const host = `127.0.0.1:${frontPort}`
const open = new AsyncDisposableStack()
const store = open.use(openSqliteStore(':memory:'))
/** The requests to the registry itself, with their status. */
const atRegistry: string[] = []
let refuse = 0
let dir: string
let buildkit: Buildkit
let registry: Registry
let lab: RegistryMirror
let mirror: OpenMirror

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-mirror-'))
  open.defer(() => rm(dir, { recursive: true, force: true }))
  open.use(await startRegistry({ dir, port: registryPort, images: true }))
  const { address } = open.use(
    await startBuildkitd({ dir, registryPort, plainHttpPorts: [frontPort] }),
  )
  const state = new FlyState(join(dir, 'localfly'))
  for (const name of ['shop', 'gateway']) state.apps.set(name, { name } as App)
  const parts = { state, token: 'token', registry: `127.0.0.1:${registryPort}` }
  const front = registryFront(parts)
  const server = createServer((asked, answer) => {
    if (refuse > 0 && asked.method === 'POST') return void answer.writeHead(refuse).end()
    answer.on('finish', () => {
      const [path = ''] = asked.url?.split('?') ?? []
      atRegistry.push(`${asked.method} ${path} ${answer.statusCode}`)
    })
    front(asked, answer)
  })
  server.listen(frontPort, '127.0.0.1')
  await once(server, 'listening')
  open.defer(() => void server.close())

  lab = open.use(new RegistryMirror(parts))
  await lab.listen(mirrorPort)
  registry = open.use(
    new Registry({ host, login: { username: 'x', password: 'token' }, insecure: true }),
  )
  buildkit = open.use(
    await Buildkit.open({
      address,
      contextPort: 5554,
      key: Buffer.from('key'),
      loginFor: (_app, at) => (at === host ? { user: 'x', secret: 'token' } : null),
      images: { allowed: ['docker.io'], frontends: [], own: host, refreshMs: 60_000 },
      mirrors: { 'docker.io': [`127.0.0.1:${registryPort}`] },
    }),
  )
})
afterAll(() => open.disposeAsync())

/** A mirror that works, with a gateway that has just tested it. */
beforeEach(async () => {
  refuse = 0
  await mirror?.[Symbol.asyncDispose]()
  await lab.set({})
  const authorization = () => `Basic ${btoa('x:token')}`
  mirror = await OpenMirror.open(
    {
      mirror: { origin: `http://127.0.0.1:${mirrorPort}`, registry: host, authorization },
      port: 0,
      limits: { connectMs: 3000, answerMs: 10_000, windowMs: 500, minBytesPerS: 50 * 2 ** 20 },
      app: 'gateway',
      machine: 'm1',
      copyMs: 2000,
      maxFailures: 3,
      pauseMs: 300_000,
      probeMs: 60_000,
    },
    { registry, log: openLog('silent') },
  )
  await mirror.probe()
  expect(mirror.status()).toMatchObject({ state: 'up', lastProbe: { ok: true } })
})
afterAll(() => mirror?.[Symbol.asyncDispose]())

const layer = (bytes = 3_000_000) => ({
  Dockerfile: 'FROM scratch\nCOPY data /data\n',
  data: randomBytes(bytes),
})

async function build(
  files: Record<string, string | Buffer>,
  given: Partial<DeploymentOptions> = {},
  signal = AbortSignal.timeout(60_000),
) {
  const root = join(dir, randomUUID())
  await mkdir(root)
  for (const [path, text] of Object.entries(files)) await writeFile(join(root, path), text)
  const tree = treeOf(root)
  const options = DeploymentOptions.parse({ deploy: false, dockerfile: 'Dockerfile', ...given })
  await store.create({ id: randomUUID(), app: 'shop', options, source: tree })
  const claim = (await store.claim())!
  const events: NewEvent[] = []
  const mark = { bytes: 0 }
  const none = () => Promise.resolve()
  const watched = { folder: dir, low: mark, high: mark, makeRoom: none, makeMoreRoom: none }
  await using disk = await DiskWatch.open({ ...watched, log: openLog('silent') })
  let pushes = 0
  atRegistry.length = 0
  const facts = { reason: '', planner: 'none', provider: null, versions: {}, startCommand: null }
  const holder = { id: claim.deployment.id, epoch: claim.epoch }
  await store.advance(holder, 'fetching', 'analyzing')
  await store.advance(holder, 'analyzing', 'building')
  const built = buildImage(
    { buildkit, registry, mirror, store, disk },
    { registryHost: host, registryCache: '', key: Buffer.from('key') },
    {
      deployment: claim.deployment,
      secrets: new Map(),
      tree,
      plan: {
        builder: 'dockerfile',
        dockerfile: 'Dockerfile',
        facts: { ...facts, builder: 'dockerfile' },
      },
      flyBuild: { args: {} },
      pushing: () => void pushes++,
      emit: (event) => void events.push(event),
      signal,
    },
  )
  await built.then(
    (facts) => store.advance(holder, 'building', 'built', facts),
    () => store.advance(holder, 'building', 'cancelled'),
  )
  return { built: await built, events, pushes }
}
const textsOf = (events: NewEvent[], type: 'note' | 'warning') =>
  events.flatMap((event) => (event.type === type ? [event.text] : []))
const uploads = () => atRegistry.filter((line) => line.startsWith('PUT') && line.includes('blobs'))
const uploadsToMirror = () =>
  lab.requests.filter(({ kind, path }) => kind === 'PUT blob' && path.startsWith('/v2/shop/'))

test('an image goes through the mirror; the registry gets no upload and has it by its digest', async () => {
  await lab.set({})
  const { built, events } = await build(layer())
  const { digest, push, reference } = built.image
  expect(push).toMatchObject({ via: 'mirror', machine: 'm1' })
  expect(push).not.toHaveProperty('reason')
  expect(reference).toBe(`${host}/shop@${digest}`)
  expect(await registry.find('shop', digest, AbortSignal.timeout(5000))).toBe(digest)
  expect(uploads()).toEqual([])
  expect(uploadsToMirror().map(({ status }) => status)).toEqual([201, 201])

  const notes = textsOf(events, 'note')
  expect(notes[0]).toMatch(/^Pushed through the mirror in \d+\.\d s\.$/)
  expect(notes[1]).toMatch(/^2 steps, 0 cached, 2 run/)
  expect(textsOf(events, 'warning')).toEqual([])
  expect(mirror.status().pushes).toEqual({ mirror: 1, fallback: 0, registry: 0 })
})

test('a reused image keeps how it was pushed', async () => {
  const files = layer(1000)
  const { built } = await build(files)
  await lab.set({ away: true })
  const again = await build(files)
  expect(again.built.image).toEqual({ ...built.image, tags: again.built.image.tags })
  expect(again.pushes).toBe(0)
})

const faults: [string, MirrorOrder, string][] = [
  [
    'refuses the login',
    { fault: { kind: 'status', status: 401, at: 'HEAD blob' } },
    'The mirror answered 401 (HEAD /v2/shop/blobs/sha256:',
  ],
  [
    'accepts only remote builders',
    { onlyBuilders: true },
    'The mirror answered 403 (HEAD /v2/shop/blobs/',
  ],
  [
    'has no such app',
    { fault: { kind: 'status', status: 404, at: 'POST upload' } },
    'The mirror answered 404 (POST /v2/shop/blobs/uploads/: {"errors":',
  ],
  [
    'wants a bearer token',
    { challenge: 'bearer' },
    'The mirror answered 401 (HEAD /v2/shop/blobs/',
  ],
  [
    'fails at a blob',
    { fault: { kind: 'status', status: 500, at: 'PUT blob', from: 2 } },
    'The mirror answered 500 (PUT /v2/shop/blobs/uploads/',
  ],
  [
    'fails at the manifest',
    { fault: { kind: 'status', status: 503, at: 'PUT manifest' } },
    'The mirror answered 503 (PUT /v2/shop/manifests/deployment-',
  ],
  ['limits blobs', { maxBlobBytes: 1_000_000 }, 'The mirror '],
  [
    'breaks off in the middle of a blob',
    { fault: { kind: 'cut', at: 'PUT blob' } },
    'The mirror broke the connection (',
  ],
  [
    'names another digest',
    { fault: { kind: 'lie', at: 'PUT manifest' } },
    'The mirror named another digest than it was sent (sha256:0000',
  ],
  ['loses a blob', { fault: { kind: 'lose', at: 'PUT blob', from: 2, times: 1 } }, 'The mirror '],
  [
    'never copies to the registry',
    { copyAfterMs: null },
    `The mirror did not copy the image to ${host} within 2 s.`,
  ],
  ['is gone', { away: true }, 'The mirror cannot be reached (ECONNREFUSED).'],
]
test.each(faults)(
  'when the mirror %s, the image is pushed to the registry, once',
  async (_name, order, why) => {
    await lab.set(order)
    const { built, events } = await build(layer())
    const { digest, push } = built.image
    expect(push).toMatchObject({ via: 'registry', reason: expect.stringContaining(why) })
    expect(push).not.toHaveProperty('machine')
    expect(await registry.find('shop', digest, AbortSignal.timeout(5000))).toBe(digest)

    expect(textsOf(events, 'warning')).toEqual([
      `${push?.reason} The image is pushed to ${host} instead.`,
    ])
    expect(textsOf(events, 'note').at(-1)).toMatch(/^2 steps, 0 cached, 2 run/)
    const steps = events.flatMap((event) =>
      event.type === 'step' ? [`${event.name} ${event.status}`] : [],
    )
    expect(steps.filter((step) => step.endsWith('failed'))).toEqual([])
    expect(steps.filter((step) => step.includes('COPY'))).toEqual([
      '[1/1] COPY data /data started',
      '[1/1] COPY data /data done',
    ])
    expect(steps.filter((step) => step === 'exporting to image started')).toHaveLength(1)
    // Each blob goes to the registry once: the layer and the configuration.
    expect(uploads()).toHaveLength(2)
    expect(uploadsToMirror().length).toBeLessThanOrEqual(2)
    expect(mirror.status().pushes).toEqual({ mirror: 0, fallback: 1, registry: 0 })
  },
)

test('when the mirror takes a blob drop by drop, the image is pushed to the registry', async () => {
  await lab.set({ fault: { kind: 'drip', at: 'PUT blob' } })
  const { built } = await build(layer(24_000_000))
  expect(built.image.push).toMatchObject({
    via: 'registry',
    reason: 'The mirror took less than 51200 KiB per second (measured over 0.5 s).',
  })
  expect(uploads()).toHaveLength(2)
})

test('steps that had to run again run once, although the push starts twice', async () => {
  await lab.set({ fault: { kind: 'status', status: 403, at: 'POST upload' } })
  const files = { Dockerfile: 'FROM alpine\nRUN cat /proc/sys/kernel/random/uuid | tee /id\n' }
  for (let time = 0; time < 2; time++) {
    const { events, built } = await build(files, { rebuild: true })
    expect(built.image.push?.via).toBe('registry')
    expect(events.filter(({ type }) => type === 'log')).toHaveLength(1)
    await mirror.probe()
  }
})

test('when the registry fails too, that is the problem, and the next try does not use the mirror', async () => {
  await lab.set({ fault: { kind: 'status', status: 500, at: 'POST upload' } })
  refuse = 403
  const signal = AbortSignal.timeout(60_000)
  const files = layer()
  await expect(build(files, {}, signal)).rejects.toMatchObject({
    code: 'registry-denied',
    facts: { registryStatus: 403 },
  })
  await lab.set({})
  refuse = 0
  const { built } = await build(files, {}, signal)
  expect(built.image.push).toMatchObject({
    via: 'registry',
    reason: expect.stringContaining('The mirror answered 500'),
  })
  expect(lab.requests).toEqual([])
})

test('images for several platforms go straight to the registry', async () => {
  await lab.set({})
  const { built } = await build(layer(1000), { platform: 'linux/amd64,linux/arm64' })
  expect(built.image.push).toEqual({ via: 'registry', ms: expect.any(Number) })
  expect(lab.requests).toEqual([])
})
