import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Deployment } from '../../api/deployment.ts'
import type { NewEvent } from '../../api/event.ts'
import { DeploymentOptions } from '../../api/options.ts'
import { Problem } from '../../api/problem.ts'
import { buildImage } from '../../gateway/src/build/build-image.ts'
import type { CacheRemoval } from '../../gateway/src/buildkit/cache/removal-notes.ts'
import { Buildkit } from '../../gateway/src/buildkit/client.ts'
import { removeCache } from '../../gateway/src/commands/app/app-cache.ts'
import type { PreviewSettings } from '../../gateway/src/deploy/config/preview.ts'
import type { NewStoredPreview } from '../../gateway/src/deployments/previews/preview-store.ts'
import { DiskWatch } from '../../gateway/src/host/disk/disk-watch.ts'
import { openLog } from '../../gateway/src/log.ts'
import { pushAgain } from '../../gateway/src/kept-images/push-again.ts'
import { noMirror } from '../../gateway/src/mirror/mirror.ts'
import { PlanCache } from '../../gateway/src/railpack/plan-cache.ts'
import { Registry } from '../../gateway/src/registry/registry.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { startBuildkitd } from '../../lab/parts/buildkitd.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { treeOf } from '../gateway/buildkit/tree-of.ts'
import { problemOf } from './step-source.ts'

const port = 5571
const host = `127.0.0.1:${port}`
const open = new AsyncDisposableStack()
const store = open.use(openSqliteStore(':memory:'))
let dir: string
let buildkit: Buildkit
let deps: Parameters<typeof buildImage>[0]
let plans: PlanCache
let connect: () => Promise<Buildkit>

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-cache-'))
  open.defer(() => rm(dir, { recursive: true, force: true }))
  open.use(await startRegistry({ dir, port }))
  const { address } = open.use(await startBuildkitd({ dir, registryPort: port }))
  connect = () =>
    Buildkit.open({
      address,
      contextPort: 0,
      key: Buffer.from('key'),
      loginFor: () => null,
      images: { allowed: [], frontends: [], own: host, refreshMs: 60_000 },
      cache: { file: join(dir, 'cache-users.json'), limits: async () => null, log: null },
    })
  buildkit = open.use(await connect())
  const disk = open.use(
    await DiskWatch.open({
      folder: dir,
      low: { bytes: 0 },
      high: { bytes: 0 },
      makeRoom: async () => {},
      makeMoreRoom: async () => {},
      log: openLog('silent'),
    }),
  )
  const registry = open.use(new Registry({ host, login: null, insecure: true }))
  deps = { buildkit, registry, mirror: noMirror('Not in this test.'), store, disk }
  plans = new PlanCache(join(dir, 'plans'), Buffer.from('key'))
}, 60_000)
afterAll(() => open.disposeAsync())

const previews: PreviewSettings = {
  readyMs: 1000,
  memoryMb: 512,
  maxMemoryMb: 2048,
  cpus: 1,
  cpuKind: 'shared',
  port: 8080,
}
const mount = '--mount=type=cache,id=counter,target=/counted'
/** Counts the builds in a cache mount, and shows the count. */
const counting = `RUN ${mount} ["/busybox", "sh", "-c", "echo x >> /counted/n; echo count $(/busybox wc -l < /counted/n)"]`

/** Builds an app as the pipeline does. Its content is its own, the first step is everybody's. */
async function build(
  app: string,
  id: string,
  steps: string[] = [counting],
  onText: (text: string) => void = () => {},
  more: { preview?: NewStoredPreview; args?: Record<string, string> } = {},
) {
  const root = join(dir, `source-${app}-${id}`)
  await mkdir(root)
  execFileSync('cp', ['/usr/bin/busybox', root])
  await writeFile(join(root, 'own'), app)
  const lines = [
    'FROM scratch',
    'COPY busybox /',
    'RUN ["/busybox", "true"]',
    'COPY own /',
    ...steps,
  ]
  const { preview, args = {} } = more
  await writeFile(join(root, 'Dockerfile'), lines.join('\n'))

  const tree = treeOf(root)
  const source = { digest: tree.digest, files: 3, sizeBytes: 1 }
  const options = DeploymentOptions.parse({ deploy: false })
  const deployment = await store.create({
    id: `${app}-${id}`,
    app,
    options,
    source,
    ...(preview && { preview }),
  })
  const events: NewEvent[] = []
  const facts = { builder: 'dockerfile', reason: '', planner: 'none', provider: null } as const
  const built = await buildImage(
    deps,
    { registryHost: host, registryCache: '', key: Buffer.from('key') },
    {
      deployment,
      tree,
      secrets: new Map(),
      plan: {
        builder: 'dockerfile',
        dockerfile: 'Dockerfile',
        facts: { ...facts, versions: {}, startCommand: null },
      },
      flyBuild: { args },
      pushing: () => {},
      emit(event) {
        events.push(event)
        if (event.type === 'log') onText(event.text)
      },
      signal: AbortSignal.timeout(60_000),
    },
  )
  const text = events.flatMap((event) => ('text' in event ? [event.text] : [])).join('\n')
  const [, ran] = /(\d+) run/.exec(text) ?? []
  return { text, ran: Number(ran), digest: built.image.digest, built, tree }
}

/** The record of a build as the pipeline writes it: the image, at the end. */
async function finish(id: string, built: { image: NonNullable<Deployment['image']> }) {
  let claim = (await store.claim())!
  while (claim.deployment.id !== id) claim = (await store.claim())! // those of other tests wait, too
  const moves = ['fetching', 'analyzing', 'building', 'pushing', 'built'] as const
  for (const [at, to] of moves.slice(1).entries())
    await store.advance({ id, epoch: claim.epoch }, moves[at]!, to, to === 'built' ? built : {})
}

const remove = (app: string) => removeCache(app, { store, plans, cache: buildkit.cache })

test('removing the cache of an app makes its next build cold and leaves the others’ caches', async () => {
  expect((await build('web', '1')).text).toContain('count 1')
  expect((await build('api', '1')).text).toContain('count 1')
  // An equal source: only the cache of steps and the cache mount could answer for it.
  expect((await build('web', '2')).ran).toBe(0)

  await vi.waitFor(async () => expect((await buildkit.cache.usage()).apps).toHaveLength(2))
  const before = await buildkit.cache.usage()
  const [web, api] = ['web', 'api'].map((app) => before.apps.find((each) => each.app === app)!)
  expect([web!.mountBytes, api!.mountBytes].every((bytes) => bytes > 0)).toBe(true)
  expect(before.totalBytes).toBe(before.sharedBytes + before.otherBytes + web!.bytes + api!.bytes)

  const heard: CacheRemoval[] = []
  buildkit.cache.removals.listener = (removal) => heard.push(removal)
  const removed = await remove('web')
  await buildkit.cache.usage() // a look: the daemon itself has removed nothing
  const bytes = removed.removedBytes
  expect(heard).toEqual([{ why: 'asked', app: 'web', count: expect.any(Number), bytes }])
  expect(removed).toMatchObject({ app: 'web', keptBytes: 0 })
  expect(removed.removedBytes).toBeGreaterThan(0)
  const after = await buildkit.cache.usage()
  expect(after.apps.find(({ app }) => app === 'web')?.bytes ?? 0).toBe(0)
  const { lastUsedAt, ...ofApi } = api!
  expect(lastUsedAt > before.measuredAt).toBe(false)
  expect(after.apps.find(({ app }) => app === 'api')).toMatchObject(ofApi)

  const cold = await build('web', '3')
  expect(cold.text).toContain('The build cache of web was removed: all steps run.')
  expect(cold.text).toContain('count 1')
  // Every step but the transfer of the source, which may still be in the daemon.
  expect(cold.ran).toBeGreaterThanOrEqual(4)
  expect([(await build('web', '4')).ran, (await build('api', '2')).ran]).toEqual([0, 0])
})

test('a build of the app that runs while its cache is removed succeeds', async () => {
  const slow = 'RUN ["/busybox", "sh", "-c", "echo begun; /busybox sleep 3; echo done"]'
  const begun = Promise.withResolvers<void>()
  const running = build('slow', '1', [slow, counting], (text) => {
    if (text.includes('begun')) begun.resolve()
  })
  await begun.promise
  await remove('slow')
  expect((await running).text).toContain('done')
  expect((await build('slow', '2', [slow, counting])).text).toContain('count 1')
})

test('who used what survives a new gateway', async () => {
  await remove('nobody') // it asks the daemon again
  const before = (await buildkit.cache.usage()).apps
  await using another = await connect()
  expect((await another.cache.usage()).apps).toEqual(before)
})

/** Tells the registry to forget a manifest, and everything that names it. */
const forget = (app: string, digest: string) =>
  fetch(`http://${host}/v2/${app}/manifests/${digest}`, { method: 'DELETE' })

/** What building an image again takes. */
const pushSettings = () => ({
  registryHost: host,
  registryCache: '',
  key: Buffer.from('key'),
  planner: async () => ({ path: '/none', version: 'none' }),
  assertIsolated: async () => {},
  region: 'ams',
  plans,
  lookups: null,
  previews,
})

test('an image that the registry has lost is pushed again from the build cache, with the same digest', async () => {
  const { built, digest, tree } = await build('lost', '1')
  await finish('lost-1', built)
  const settings = pushSettings()
  const more = { vault: { open: async () => new Map() }, sources: { tree: async () => tree } }
  const copier = { take: () => Promise.reject(new Error('nothing is copied here')) }
  const signal = AbortSignal.timeout(60_000)
  const again = (sources = more.sources) =>
    pushAgain(
      { app: 'lost', digest },
      { ...deps, store, copier, ...more, sources },
      settings,
      signal,
    )
  const has = (reference: string) => deps.registry.has('lost', reference, signal)

  expect((await forget('lost', digest)).status).toBe(202)
  expect([await has(digest), await has('deployment-lost-1')]).toEqual([false, false])
  await again()
  expect([await has(digest), await has('deployment-lost-1')]).toEqual([true, true])

  await forget('lost', digest)
  const gone = () => Promise.reject(new Problem('source-gone', 'It is gone.'))
  expect((await problemOf(again({ tree: gone }))).body()).toMatchObject({
    code: 'image-gone',
    detail: 'the source of deployment lost-1 is no longer kept.',
  })

  // Without the cache, steps run again and make other files: that is another image.
  await buildkit.cache.remove('lost')
  const other = await problemOf(again())
  expect(other.body()).toMatchObject({ code: 'image-gone' })
  expect(other.message).toMatch(
    /gave another image \(sha256:\w{64}; \d of \d steps were not in the build cache\)/,
  )
  expect([await has(digest), await has('deployment-lost-1')]).toEqual([false, false])

  await store.caches.reset('lost')
  expect((await problemOf(again())).message).toBe('the build cache of the app was removed since.')
})

test('a lost image of a preview is built again as its template says, and without its secrets', async () => {
  const config = '[build.args]\nWHO = "template"\n'
  const own = { app: 'shop', name: 'small', format: 'toml', createdBy: 'operator' } as const
  await store.templates.add({ ...own, config, egress: null })
  const preview = {
    id: 'pv-test00000001',
    app: 'shop',
    owner: 'alice',
    template: { name: 'small', version: 1 },
    expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
    evict: false,
    limits: { perOwner: 3, all: 3 },
  }
  const app = 'shop-pv-test00000001'
  const steps = ['ARG WHO', 'RUN ["/busybox", "sh", "-c", "echo $WHO > /who"]']
  const more = { preview, args: { WHO: 'template' } }
  const { built, digest, tree } = await build(app, '1', steps, () => {}, more)
  await finish(`${app}-1`, built)
  await forget(app, digest)

  const copier = { take: () => Promise.reject(new Error('nothing is copied here')) }
  const vault = { open: () => Promise.reject(new Error('the build has no secrets')) }
  const sources = { tree: async () => tree }
  const signal = AbortSignal.timeout(60_000)
  await pushAgain(
    { app, digest },
    { ...deps, store, copier, vault, sources },
    pushSettings(),
    signal,
  )
  expect(await deps.registry.has(app, digest, signal)).toBe(true)
})
