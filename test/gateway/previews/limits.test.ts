import { expect, test } from 'vitest'
import type { Preview } from '../../../api/previews/preview.ts'
import type { ProblemBody } from '../../../api/problem/body.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import { flyAppOf, newPreviewId } from '../../../gateway/src/deployments/previews/preview-names.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'
import { previewRows } from '../../../gateway/src/commands/access/rows/preview-rows.ts'
import type { Lookups } from '../../../gateway/src/commands/access/row.ts'
import { authorization } from '../http/start-http.ts'
import { startMachines } from '../start-machines.ts'

test('a hundred requests at once make three previews, and evictions never more than six', async () => {
  await using gateway = await startMachines()
  const source = { image: gateway.images.put('shop', 'v1').name }
  const ask = async (more = {}) => {
    const asked = { app: 'shop', owner: 'alice', source, ...more }
    const { status } = await gateway.call('POST', '/v1/previews', asked)
    const living = await gateway.store.previews.living()
    const stay = living.filter(({ state }) => state !== 'destroying')
    return { status, living: living.length, stay: stay.length }
  }
  const all = (more = {}) => Promise.all(Array.from({ length: 100 }, () => ask(more)))
  expect((await all()).filter(({ status }) => status === 202).length).toBe(3)
  const evicting = await all({ evict: 'oldest' })
  expect(Math.max(...evicting.map(({ living }) => living))).toBeLessThanOrEqual(6)
  expect(Math.max(...evicting.map(({ stay }) => stay))).toBe(3)
})

test('at the quota of the team, a preview takes the place of its owner’s oldest, and of no other’s', async () => {
  await using store = openSqliteStore(':memory:')
  await store.teams.setQuotas('default', { previews: 2 })
  const options = DeploymentOptions.parse({})
  const limits = { perOwner: 3, all: 100 }
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
  const create = async (owner: string, evict = true) => {
    const id = newPreviewId('test')
    const preview = { id, app: 'shop', owner, template: null, expiresAt, evict, limits }
    const app = flyAppOf(preview)
    const announced = { app, options, preview, idempotencyKey: null }
    await store.refuseBusyLane(announced)
    await store.create({ id, app, options, source: null, preview })
    return id
  }
  const stay = async () =>
    (await store.previews.living()).flatMap(({ id, state }) => (state === 'destroying' ? [] : id))
  const full = expect.objectContaining({ code: 'quota-reached' })
  await create('alice')
  const bobs = await create('bob')
  await expect(create('alice', false)).rejects.toEqual(full)
  await expect(create('carol')).rejects.toEqual(full) // she has none that could go
  const alices = await create('alice')
  expect(await stay()).toEqual([bobs, alices])
  // Those that leave count, so that nobody else gets their place before it is free.
  await expect(create('bob', false)).rejects.toEqual(full)
  for (const _ of [1, 2, 3, 4]) await create('alice')
  await expect(create('alice')).rejects.toMatchObject({ code: 'preview-limit' })
  expect(await stay()).toHaveLength(2)
})

test('an extension is on the machine at once, and holds where Fly does not answer', async () => {
  await using gateway = await startMachines()
  const { images, call, fly } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const asked = { app: 'shop', owner: 'alice', source, ttlSeconds: 600 }
  const { body } = await call<Preview>('POST', '/v1/previews?wait=true', asked)
  const extend = async (ttlSeconds: number) =>
    (await call<Preview>('POST', `/v1/previews/${body.id}/extend`, { ttlSeconds })).body.expiresAt
  const marked = () => fly.machines(body.flyApp)[0]!.config.metadata?.['tarmac_preview_ends']
  const later = await extend(1200)
  expect(later > body.expiresAt).toBe(true)
  expect(marked()).toBe(later)

  fly.faults.push({ on: /^GET .*\/machines$/, fault: 'unseen' })
  const last = await extend(1800)
  expect(last > later).toBe(true)
  expect(marked()).toBe(later)
})

test('a preview has no previews of its own, by which its owner would get more than there may be', async () => {
  await using gateway = await startMachines()
  const source = { image: gateway.images.put('shop', 'v1').name }
  const ask = (app: string) =>
    gateway.call<Preview & ProblemBody>('POST', '/v1/previews', { app, owner: 'alice', source })
  const { body } = await ask('shop')
  expect(await ask(body.flyApp)).toMatchObject({
    status: 400,
    body: { code: 'request-invalid', detail: expect.stringContaining('a preview of shop') },
  })
  const query = `app=${body.flyApp}&owner=alice`
  const sent = await fetch(`${gateway.url}/v1/previews?${query}`, {
    method: 'POST',
    headers: authorization,
    body: 'an archive',
  })
  expect(sent.status).toBe(400)
  expect(gateway.received).toEqual([])
})

test('an app that has previews is new to no team, which would get them with it', async () => {
  await using gateway = await startMachines()
  const { images, call, store } = gateway
  const source = { image: images.put('shop', 'v1').name }
  expect(store.teams.isNew('shop')).toBe(true)
  await call('POST', '/v1/previews', { app: 'shop', owner: 'alice', source })
  expect(store.teams.isNew('shop')).toBe(false)
})

test('the source of a preview is kept no longer than its deployment needs it', async () => {
  await using gateway = await startMachines()
  const { form, call, get, store } = gateway
  const source = new Blob(['an archive'])
  const { body } = await form<Preview>('/v1/previews', { app: 'shop', owner: 'alice', source })
  const keep = { keepSources: 5, keepSourcesMib: 1000, keepSourcesDays: 30 }
  expect((await store.sourcesInUse(keep)).size).toBe(1)
  await call('DELETE', `/v1/previews/${body.id}`)
  await expect
    .poll(() => get<Preview>(`/v1/previews/${body.id}`))
    .toMatchObject({
      state: 'destroyed',
    })
  expect((await store.sourcesInUse(keep)).size).toBe(0)
})

test('a release is read of the whole app, whoever the preview is for', async () => {
  const asked = { app: 'shop', owner: 'alice', source: { release: 1 } }
  const none = {} as Lookups
  const targets = await previewRows.create.targets?.([asked, {}] as never, none)
  expect(targets).toMatchObject([
    { app: 'shop', owner: 'alice' },
    { app: 'shop', owner: null, scope: 'read' },
  ])
})
