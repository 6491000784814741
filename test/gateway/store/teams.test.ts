import { randomUUID } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { OwnQuotas } from '../../../api/callers/quotas.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import type { NewDeployment } from '../../../gateway/src/deployments/store.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const image = {
  reference: 'registry.test/a@sha256:aa',
  digest: 'sha256:aa',
  tags: [],
  platforms: null,
} as unknown as NonNullable<NewDeployment['image']>

function open(quotas: OwnQuotas = {}, path = ':memory:') {
  const clock = { ms: Date.parse('2026-05-01T12:00:00.000Z') }
  const store = openSqliteStore(path, { now: () => clock.ms, quotas })
  const create = (app: string, more: Partial<NewDeployment> & { owner?: string } = {}) => {
    const { owner, ...own } = more
    const options = DeploymentOptions.parse({ lane: 'fifo', ...(owner && { owner }) })
    return store.create({ id: randomUUID(), app, options, source: null, ...own })
  }
  return { ...store, store, clock, create }
}
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'made',
    (error: { code: string }) => error.code,
  )

test('teams, members, apps and quotas survive a restart', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tarmac-teams-')), 'tarmac.db')
  {
    const { store, teams } = open({}, path)
    await teams.create('acme')
    await teams.addMember('acme', 'github:acme/shop')
    await teams.moveApp('shop', 'acme')
    await teams.setQuotas('acme', { builds: 2, queue: null })
    await store.quotas.add('acme', 'upload-mib-per-day', 3 * 2 ** 20)
    await store[Symbol.asyncDispose]()
  }
  const { store, teams, quotas } = open({ builds: 9, queue: 5, machines: 7 }, path)
  expect(teams.teamOf('shop')).toBe('acme')
  expect(teams.teamOf('other')).toBe('default')
  expect(teams.teamsOf('github:acme/shop')).toEqual(['acme'])
  expect(teams.members('acme')).toEqual(['github:acme/shop'])
  expect(
    ['builds', 'queue', 'machines'].map((name) => quotas.limitOf('acme', name as 'queue')),
  ).toEqual([2, null, 7])
  expect(quotas.usedOf('acme', 'upload-mib-per-day')).toBe(3)
  await store[Symbol.asyncDispose]()
})

test('a new app belongs to the first team that claims it, and a known one to nobody new', async () => {
  const { teams, create } = open()
  await teams.create('acme')
  await teams.create('web')
  expect(teams.isNew('shop')).toBe(true)
  expect(await teams.claim('shop', 'acme')).toBe(true)
  expect(await teams.claim('shop', 'acme')).toBe(true)
  expect(await teams.claim('shop', 'web')).toBe(false)
  expect(teams.isNew('shop')).toBe(false)

  await create('old')
  expect(teams.isNew('old')).toBe(false)
  expect(await teams.claim('old', 'acme')).toBe(false)
  expect(teams.apps('acme')).toEqual(['shop'])
  expect(teams.apps('default')).toEqual(['old'])
})

test('builds per day count once for each deployment that builds, by its key too, and start again at midnight', async () => {
  const { quotas, create, clock } = open({ 'builds-per-day': 2 })
  const first = await create('shop', { idempotencyKey: 'k' })
  expect((await create('shop', { idempotencyKey: 'k' })).id).toBe(first.id)
  await create('shop', { image })
  await create('shop')
  expect(quotas.usedOf('default', 'builds-per-day')).toBe(2)

  const refused = await create('shop').catch((error: Error) => error)
  expect(refused).toMatchObject({
    code: 'quota-reached',
    facts: {
      quota: 'builds-per-day',
      used: 2,
      limit: 2,
      resetsAt: '2026-05-02T00:00:00Z',
      retryAfterSeconds: 43_200,
    },
  })
  // The same key is answered as before, an image needs no build, and the operator is not refused.
  expect((await create('shop', { idempotencyKey: 'k' })).id).toBe(first.id)
  expect(await code(create('shop', { image }))).toBe('made')
  expect(await code(create('shop', { exempt: true }))).toBe('made')
  expect(quotas.usedOf('default', 'builds-per-day')).toBe(3)

  clock.ms = Date.parse('2026-05-02T00:00:00.000Z')
  expect(await code(create('shop'))).toBe('made')
})

test('a rollback is never refused', async () => {
  const { create } = open({ queue: 1 })
  await create('shop')
  expect(await code(create('shop', { image, rollback: { from: 2, to: 1 } }))).toBe('made')
})

test('a refused deployment counts nothing', async () => {
  const { quotas, create } = open({ queue: 1 })
  await create('shop')
  expect(await code(create('shop'))).toBe('quota-reached')
  expect(quotas.usedOf('default', 'builds-per-day')).toBe(1)
})

test('a full queue of a team refuses its apps and no others; a deployment that replaces a waiting one is taken', async () => {
  const { store, teams, create } = open({ queue: 2 })
  await teams.create('acme')
  await teams.moveApp('a1', 'acme')
  await teams.moveApp('a2', 'acme')
  await create('a1')
  await create('a2')
  expect(await code(create('a1'))).toBe('quota-reached')
  expect(await code(create('b1'))).toBe('made')

  const latest = DeploymentOptions.parse({ lane: 'latest' })
  expect(await code(create('a1', { options: latest }))).toBe('made')
  const announced = { app: 'a2', options: DeploymentOptions.parse({ lane: 'fifo' }) }
  expect(await code(store.refuseBusyLane(announced))).toBe('quota-reached')
  expect(await code(store.refuseBusyLane({ ...announced, exempt: true }))).toBe('made')
})

test('build minutes are the time before the deploy, counted once, also over a crash', async () => {
  const { store, quotas, create, clock } = open()
  const minutes = () => quotas.usedOf('default', 'build-minutes-per-day')
  await create('shop')
  clock.ms += 60_000 // it waits
  const claim = (await store.claim())!
  const holder = { id: claim.deployment.id, epoch: claim.epoch }
  expect(minutes()).toBe(0)

  for (const [from, to] of [
    ['fetching', 'analyzing'],
    ['analyzing', 'building'],
  ] as const) {
    clock.ms += 15_000
    await store.renew(holder)
    await store.advance(holder, from, to)
  }
  clock.ms += 15_000
  await store.renew(holder)
  await store.amend(holder, { url: 'http://x' }) // a write in between counts nothing twice
  expect(minutes()).toBe(0.75)

  // The gateway dies. An hour later the next one finds it: the lease of 30 s bounds what is counted.
  clock.ms += 3_600_000
  await store.startLife({ boot: 'b', maxDeaths: 3 }, 'restarted')
  expect((await store.find(holder.id))?.state).toBe('pending')
  expect(minutes()).toBe(1.25)

  const again = (await store.claim())!
  const next = { id: again.deployment.id, epoch: again.epoch }
  clock.ms += 15_000
  await store.advance(next, 'fetching', 'build_failed')
  expect(minutes()).toBe(1.5)
})

test('at its build minutes a team may not begin a build', async () => {
  const { quotas, create } = open({ 'build-minutes-per-day': 480 })
  await quotas.add('default', 'build-minutes-per-day', 480 * 60_000 - 1)
  expect(await code(create('shop'))).toBe('made')
  await quotas.add('default', 'build-minutes-per-day', 1)
  expect(await code(create('shop'))).toBe('quota-reached')
})

test('machines are those of the newest releases; a deployment that adds none is taken', async () => {
  const { store, quotas, create } = open({ machines: 2 })
  const machines = [1, 2].map((n) => ({ id: `m${n}`, region: 'ams' })) as never
  async function live(owner?: string) {
    await create('shop', { image, ...(owner && { owner }) })
    const claim = (await store.claim())!
    const holder = { id: claim.deployment.id, epoch: claim.epoch }
    await store.advance(holder, 'deploying', 'verifying')
    await store.advance(holder, 'verifying', 'live', {
      machines,
      release: { desired: {}, secrets: [] },
    })
  }
  await live()
  expect(quotas.usedOf('default', 'machines')).toBe(2)
  expect(await code(create('other'))).toBe('quota-reached')
  expect(await code(create('shop', { owner: 'alice' }))).toBe('quota-reached')
  expect(await code(create('shop'))).toBe('made')
  const more = DeploymentOptions.parse({ lane: 'fifo', count: 3 })
  expect(await code(create('shop', { options: more }))).toBe('quota-reached')
  const built = DeploymentOptions.parse({ lane: 'fifo', deploy: false })
  expect(await code(create('other', { options: built }))).toBe('made')
})

test('deployments that have not ended count for the machines that they ask for', async () => {
  const { store, quotas, create } = open({ machines: 3 })
  const two = DeploymentOptions.parse({ lane: 'fifo', count: 2 })
  expect(await code(create('shop', { image, options: two }))).toBe('made')
  expect(await code(create('shop', { image, options: two }))).toBe('made') // of the same target
  expect(await code(create('blog', { image }))).toBe('made')
  expect(quotas.usedOf('default', 'machines')).toBe(3)
  expect(await code(create('more', { image }))).toBe('quota-reached')

  for (const { id } of (await store.list('shop', { limit: 2, before: null })).deployments)
    await store.requestCancel(id, { by: null, why: null, abort: false })
  expect(quotas.usedOf('default', 'machines')).toBe(1)
  expect(await code(create('more', { image }))).toBe('made')
})

test('a team’s quota of builds at once holds in the queue, and its turn goes on over its apps', async () => {
  const { store, teams, create } = open({})
  await teams.create('acme')
  for (const app of ['a1', 'a2', 'a3']) await teams.moveApp(app, 'acme')
  await teams.setQuotas('acme', { builds: 1 })
  for (const app of ['a1', 'a2', 'a3', 'b1']) await create(app)
  const limits = { builds: 3, appBuilds: 3, deploys: 3 }
  const started = []
  for (let claim; (claim = await store.claim(limits));) started.push(claim.deployment.app)
  expect(started).toEqual(['a1', 'b1'])
  await store.publishQueuePositions(limits)
  const [waiting] = (await store.list('a2', { limit: 1, before: null })).deployments
  expect(await store.eventsAfter(waiting!.id, 1, 9)).toMatchObject([
    { type: 'waiting', for: 'team', place: 1 },
  ])
})

test('a team with many apps gets no more turns than a team with one', async () => {
  const { store, teams, create } = open({})
  await teams.create('acme')
  for (const app of ['a1', 'a2', 'a3', 'a4']) {
    await teams.moveApp(app, 'acme')
    await create(app)
  }
  for (let n = 0; n < 3; n++) await create('b1', { owner: `o${n}` })
  const started = []
  for (let claim; (claim = await store.claim({ builds: 1, appBuilds: 1, deploys: 1 }));) {
    started.push(claim.deployment.app[0])
    const holder = { id: claim.deployment.id, epoch: claim.epoch }
    await store.advance(holder, 'fetching', 'build_failed')
  }
  expect(started.join('')).toMatch(/^(?:ab|ba){3}a$/)
})
