import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { DriftReport } from '#api/drift/report.ts'
import type { MachineView } from '#api/machines/machine-facts.ts'
import { DeploymentOptions } from '#api/options.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import type { RuntimeSecrets, SecretsAnswer } from '#api/runtime/secrets.ts'
import { startMachines } from '../start-machines.ts'

// Owners with an app of their own: the records are those of (shop, ada), and Fly has another app.

const name = /^shop-ada-ow-[0-9a-hjkmnp-tv-z]{12}$/

async function started(more: Parameters<typeof startMachines>[0] = {}) {
  const gateway = await startMachines({ owners: 'app-per-owner', ...more })
  const image = gateway.images.put('shop', 'v1')
  return Object.assign(gateway, {
    of: (owner: string | null, options: object = {}) =>
      gateway.deploy('shop', { image: image.name }, { ...(owner && { owner }), ...options }),
  })
}

test('an owner gets an app and a network of its own, with the image of the shared repository', async () => {
  await using gateway = await started()
  const own = await gateway.of(null)
  const ada = await gateway.of('ada', { env: { FOR: 'ada' } })
  const bob = await gateway.of('bob')
  expect([own.flyApp, ada.flyApp]).toEqual(['shop', expect.stringMatching(name)])
  expect(ada).toMatchObject({ state: 'live', app: 'shop', owner: 'ada', release: 1 })
  expect(ada.url).toBe(`http://${ada.flyApp}.flycast`)

  const { fly } = gateway
  const app = fly.apps.get(ada.flyApp)!
  expect([app.network, app.ips.map(({ network }) => network ?? null)]).toEqual([ada.flyApp, [null]])
  expect(fly.apps.get(bob.flyApp)!.network).not.toBe(app.network)
  expect(['shop', ada.flyApp, bob.flyApp].map((each) => fly.machines(each).length)).toEqual([
    1, 1, 1,
  ])
  const [machine] = fly.machines(ada.flyApp)
  expect(machine!.config.metadata).toMatchObject({ tarmac_owner: 'ada' })
  expect(machine!.config.env).toMatchObject({ FOR: 'ada' })
  expect(machine!.config.image).toContain('/shop')

  const again = await gateway.of('ada')
  expect([again.flyApp, again.release]).toEqual([ada.flyApp, 2])
  expect(fly.machines(ada.flyApp).map(({ id }) => id)).toEqual([machine!.id])
  const { body } = await gateway.call<Deployment>('POST', '/v1/apps/shop/rollback?owner=ada')
  expect(await gateway.ended(body.id)).toMatchObject({ state: 'live', flyApp: ada.flyApp })
})

test('the setting of the app decides for new owners, and an owner stays where it is', async () => {
  await using gateway = await started()
  const ada = await gateway.of('ada')
  await gateway.call('PATCH', '/v1/apps/shop', { owners: 'shared-app' })
  expect((await gateway.of('bob')).flyApp).toBe('shop')
  expect((await gateway.of('ada')).flyApp).toBe(ada.flyApp)
  await gateway.call('PATCH', '/v1/apps/shop', { owners: 'app-per-owner' })
  expect((await gateway.of('bob')).flyApp).toBe('shop')

  // The records are lost, and with them where the owner was: the name is the same.
  gateway.store.ownerApps.forget({ app: 'shop', owner: 'ada' })
  expect((await gateway.of('ada')).flyApp).toBe(ada.flyApp)
})

test('nobody deploys to an owner’s app by its name on Fly', async () => {
  await using gateway = await started()
  const { flyApp } = await gateway.of('ada')
  const path = `/v1/apps/${flyApp}`
  const source = { image: gateway.images.put('shop', 'v2').name }
  const asked = await gateway.call<ProblemBody>('POST', `${path}/deployments`, { source })
  expect(asked.body).toMatchObject({ code: 'request-invalid' })
  expect(asked.body.detail).toContain('tarmac deploy shop --owner ada')
  const deleted = await gateway.call<ProblemBody>('DELETE', `${path}?confirm=${flyApp}`)
  expect(deleted.body).toMatchObject({ code: 'request-invalid', app: 'shop', owner: 'ada' })
})

test('machines, drift and crashes of an app include those of its owners’ apps', async () => {
  await using gateway = await started()
  await gateway.of(null)
  const { flyApp, id } = await gateway.of('ada', { env: { FOR: 'ada' } })
  const { fly, get } = gateway
  const { machines } = await get<{ machines: MachineView[] }>('/v1/apps/shop/machines')
  expect(machines.map(({ flyApp: on, owner }) => `${on} ${owner}`).toSorted()).toEqual([
    'shop null',
    `${flyApp} ada`,
  ])
  const [machine] = fly.machines(flyApp)
  const stop = `/v1/apps/shop/machines/${machine!.id}/stop`
  expect((await gateway.call<MachineView>('POST', stop)).body).toMatchObject({
    flyApp,
    state: 'stopped',
  })

  expect(await get<DriftReport>('/v1/apps/shop/drift')).toMatchObject({ findings: [], drift: [] })
  machine!.config.env!['FOR'] = 'somebody'
  fly.apps.get(flyApp)!.ips.push({ ip: '2a09:8280:1::1' })
  const { findings } = await get<DriftReport>('/v1/apps/shop/drift')
  expect(findings.map(({ code }) => code).toSorted()).toEqual(['machine-changed', 'public-address'])
  expect(findings.every(({ text }) => text.startsWith(`${flyApp}: `))).toBe(true)
  const changed = findings.find(({ code }) => code === 'machine-changed')!
  expect(changed.advice).toContain('tarmac rollback shop --release 1 --owner ada')

  Object.assign(machine!, {
    state: 'stopped',
    events: [
      {
        type: 'exit',
        status: 'stopped',
        timestamp: Date.now() + 1000,
        request: { exit_event: { exit_code: 7, requested_stop: false } },
      },
    ],
  })
  await gateway.watch().look()
  expect(await gateway.store.find(id)).toMatchObject({ releaseState: 'degraded' })
})

test('an owner’s secrets are in its own app, and those of the shared app are not given to it', async () => {
  await using gateway = await started()
  await gateway.of(null)
  const { flyApp } = await gateway.of('ada')
  const path = '/v1/apps/shop/runtime-secrets'
  await gateway.call('PATCH', path, { values: { SHARED: '1' }, deploy: false })
  const asked = { values: { OWN: '2' }, deploy: true }
  const changed = await gateway.call<SecretsAnswer>('PATCH', `${path}?owner=ada`, asked)
  expect(changed.body).toMatchObject({ app: 'shop', owner: 'ada', added: ['OWN'], refused: [] })
  const [made] = changed.body.deployments
  expect(await gateway.ended(made!.id)).toMatchObject({ state: 'live', owner: 'ada', flyApp })

  const names = (app: string) => gateway.fly.apps.get(app)!.secrets.map((secret) => secret.name)
  expect([names('shop'), names(flyApp)]).toEqual([['SHARED'], ['OWN']])
  const listed = await gateway.get<RuntimeSecrets>(`${path}?owner=ada`)
  expect(listed).toMatchObject({
    owner: 'ada',
    secrets: [{ name: 'OWN', state: 'deployed' }],
    targets: [{ owner: 'ada', release: 2 }],
  })
  const shared = await gateway.get<RuntimeSecrets>(path)
  expect(shared).toMatchObject({ owner: null, targets: [{ owner: null, release: 1 }] })
  const none = await gateway.call<ProblemBody>('GET', `${path}?owner=cy`)
  expect(none.body).toMatchObject({ code: 'option-invalid', option: 'owner' })
})

test('deleting the app deletes its owners’ apps, and the confirmation says how many', async () => {
  await using gateway = await started()
  await gateway.of(null)
  const [ada, bob] = [await gateway.of('ada'), await gateway.of('bob')]
  const refused = await gateway.call<ProblemBody>('DELETE', '/v1/apps/shop')
  expect(refused.body.detail).toContain('the 2 apps of its owners')
  expect((await gateway.call('DELETE', '/v1/apps/shop?confirm=shop')).status).toBe(204)
  const left = ['shop', ada.flyApp, bob.flyApp].filter((each) => gateway.fly.apps.has(each))
  expect([left, gateway.store.ownerApps.list('shop')]).toEqual([[], []])
  const asked = await gateway.call<ProblemBody>('POST', `/v1/apps/${ada.flyApp}/deployments`, {
    source: { image: gateway.images.put('shop', 'v3').name },
  })
  expect(asked.body.code).toBe('request-invalid')
})

test('Fly’s own tools know the releases of an owner’s app', async () => {
  await using gateway = await started({ registers: true })
  const { flyApp } = await gateway.of('ada', { env: { FOR: 'ada' } })
  expect(gateway.fly.releases.of(flyApp)).toMatchObject([
    { version: 1, status: 'complete', definition: { app: flyApp, env: { FOR: 'ada' } } },
  ])
  expect(gateway.fly.releases.of('shop')).toEqual([])
})

test('a machine of one of many owners is found by one list, or without it by a list of each app', async () => {
  await using gateway = await startMachines({ owners: 'app-per-owner' })
  const { fly, call, deploy, images, store } = gateway
  const { flyApp } = await deploy(
    'shop',
    { image: images.put('shop', 'v1').name },
    { owner: 'ada' },
  )
  for (let n = 0; n < 40; n++) {
    const options = DeploymentOptions.parse({ owner: `owner-${n}`, deploy: false })
    await store.create({ id: `d${n}`, app: 'shop', options, source: gateway.source })
  }
  const { id } = fly.machines(flyApp)[0]!
  const stop = async () => {
    const before = fly.calls.length
    const answer = await call<MachineView>('POST', `/v1/apps/shop/machines/${id}/stop`)
    expect(answer).toMatchObject({ status: 200, body: { flyApp, state: 'stopped' } })
    return fly.calls.slice(before)
  }
  const others = (calls: string[]) =>
    calls.filter((each) => !each.includes(flyApp) && !each.startsWith('GET /apps/shop/'))
  expect(others(await stop())).toEqual(['GET /orgs/personal/machines'])

  fly.faults.push({ on: /GET \/orgs\/personal\/machines/, fault: 'unseen' })
  const asked = others(await stop())
  expect(asked).toHaveLength(41)
  expect(asked.filter((each) => each.includes(id))).toEqual([])
}, 20_000)
