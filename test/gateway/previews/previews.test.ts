import { expect, test } from 'vitest'
import type { Preview, PreviewPage } from '../../../api/previews/preview.ts'
import type { ProblemBody } from '../../../api/problem/body.ts'
import { startMachines } from '../start-machines.ts'

const mark = (machine: { config: { metadata?: Record<string, string> } } | undefined) =>
  machine?.config.metadata

test('a preview gets an app and a network of its own, is ready, is listed, and leaves nothing', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, call } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const made = await call<Preview>('POST', '/v1/previews?wait=true', {
    app: 'shop',
    owner: 'alice',
    source,
    env: { MODE: 'try' },
  })
  const { id, flyApp } = made.body
  expect(made).toMatchObject({
    status: 201,
    body: { state: 'ready', app: 'shop', owner: 'alice', url: `http://${flyApp}.flycast` },
  })
  expect(flyApp).toBe(`shop-${id}`)
  // Its address is in the gateway's network: what runs in it reaches nothing there.
  const { network, ips } = fly.apps.get(flyApp)!
  expect([network, ips.map((each) => each.network)]).toEqual([flyApp, [undefined]])
  const [machine] = fly.machines(flyApp)
  expect(mark(machine)).toMatchObject({
    tarmac_preview: id,
    tarmac_preview_app: 'shop',
    tarmac_preview_owner: 'alice',
  })
  expect(machine?.config).toMatchObject({ env: { MODE: 'try', PORT: '8080' } })
  expect((await get<PreviewPage>('/v1/previews?owner=alice')).previews).toMatchObject([{ id }])
  expect((await get<PreviewPage>('/v1/previews?owner=bob')).previews).toEqual([])

  expect(await call('DELETE', `/v1/previews/${id}`)).toMatchObject({ status: 202 })
  await expect.poll(() => get<Preview>(`/v1/previews/${id}`)).toMatchObject({ state: 'destroyed' })
  expect(fly.apps.has(flyApp)).toBe(false)
  expect(await get<Preview>(`/v1/previews/${id}`)).toMatchObject({
    ending: { why: 'asked', by: 'operator' },
  })
})

test('the fourth preview of an owner is refused and names the three, or replaces the oldest', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, call } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const ask = (more = {}) =>
    call<Preview & ProblemBody>('POST', '/v1/previews', {
      app: 'shop',
      owner: 'alice',
      source,
      ...more,
    })
  const three = [await ask(), await ask(), await ask()].map(({ body }) => body.id)
  expect(await ask()).toMatchObject({
    status: 429,
    body: { code: 'preview-limit', previews: three.map((id) => ({ id })) },
  })
  expect((await ask({ owner: 'bob' })).status).toBe(202)
  expect((await ask({ evict: 'oldest' })).status).toBe(202)
  await expect
    .poll(() => get<Preview>(`/v1/previews/${three[0]}`))
    .toMatchObject({ state: 'destroyed', ending: { why: 'evicted' } })
  expect([...fly.apps.keys()].filter((app) => app.endsWith(three[0]!))).toEqual([])
})

test('a preview that expires, and one that never gets ready, leave nothing', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, call } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const bad = images.put('shop', 'v2')
  fly.natures.set(bad.digest, 'cannot-start')
  const ask = async (more: object) =>
    (await call<Preview>('POST', '/v1/previews', { app: 'shop', owner: 'alice', source, ...more }))
      .body
  const [short, failing] = [
    await ask({ ttlSeconds: 1 }),
    await ask({ source: { image: bad.name } }),
  ]
  const read = ({ id }: Preview) => get<Preview>(`/v1/previews/${id}`)
  await expect
    .poll(() => read(failing), { timeout: 5000 })
    .toMatchObject({ state: 'failed', problem: { code: 'deploy-failed' } })
  await expect
    .poll(() => read(short), { timeout: 5000 })
    .toMatchObject({ state: 'destroyed', ending: { why: 'expired' } })
  expect([...fly.apps.keys()].filter((app) => app.includes('-pv-'))).toEqual([])
})

test('the app of a preview gets no second deployment, by whatever way', async () => {
  await using gateway = await startMachines()
  const { images, get, call } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const { body } = await call<Preview>('POST', '/v1/previews?wait=true', {
    app: 'shop',
    owner: 'alice',
    source,
  })
  const { flyApp, deployment, id } = body
  await call('DELETE', `/v1/previews/${id}`)
  for (const [path, more] of [
    [`/v1/deployments/${deployment}/retry`, undefined],
    [`/v1/deployments/${deployment}/retry?reuse-image=true`, undefined],
    [`/v1/apps/${flyApp}/deployments`, { source }],
  ] as const)
    expect(await call<ProblemBody>('POST', path, more)).toMatchObject({
      status: 400,
      body: {
        code: 'request-invalid',
        detail: `${flyApp} is the app of a preview of shop. A preview has one deployment; make another preview instead: tarmac preview shop`,
      },
    })
  await expect.poll(() => get<Preview>(`/v1/previews/${id}`)).toMatchObject({ state: 'destroyed' })
})

test.each([
  'POST /apps$',
  'GET /apps/shop-pv-\\w+/machines$',
  'POST /apps/shop-pv-\\w+/(?:ip|machines$)',
  'GET /apps/shop-pv-\\w+/secrets$',
  'POST /apps/shop-pv-\\w+/secrets$',
])(
  'a new app that Fly does not know everywhere at once (%s) still becomes a preview',
  async (call) => {
    await using gateway = await startMachines({ hasKey: true })
    const { fly, images } = gateway
    for (let time = 0; time < 2; time++) fly.faults.push({ on: new RegExp(call), fault: 'unseen' })
    const made = await gateway.call('POST', '/v1/previews?wait=true', {
      app: 'shop',
      owner: 'alice',
      source: { image: images.put('shop', 'v1').name },
      secrets: { DB: 'a-password' },
    })
    expect(made).toMatchObject({ status: 201, body: { state: 'ready' } })
    expect(fly.faults).toEqual([])
  },
)
