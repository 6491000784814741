import { expect, test as each, vi } from 'vitest'
import type { Deployment } from '../../../api/deployment.ts'
import type { DriftReport } from '../../../api/drift/report.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import type { ReleasePage } from '../../../api/release.ts'
import { MachinesApi } from '../../../fly/machines-api.ts'
import { overUndici } from '../../../fly/undici-transport.ts'
import { listOwners } from '../../../gateway/src/commands/owners/owner-list.ts'
import { startOwners } from './start-owners.ts'

// Most of the time they wait for Fly's limits.
const test = each.concurrent

const prices = {
  currency: 'EUR',
  source: 'test',
  date: '2026-11-01',
  machines: [{ kind: 'shared', cpus: 1, memoryMb: 512, perSecond: 0.001 }],
}
const slow = { timeout: 40_000 }

test(
  'the owners of an app are listed by name, with what each has and costs, by one call to Fly',
  slow,
  async () => {
    await using gateway = await startOwners({ prices })
    const { fly, list, deployOwner, change, machineOf } = gateway
    expect(await list()).toEqual({ owners: [], currency: 'EUR', next: null })
    await Promise.all(['bob', 'ada', 'cy'].map((owner) => deployOwner(owner)))
    await change('bob', 'stop')
    machineOf('cy')!.state = 'stopped' // Fly's autostop

    const before = fly.calls.length
    const { owners } = await list()
    expect(fly.calls.slice(before)).toEqual(['GET /orgs/personal/machines'])
    expect(owners.map(({ owner, state }) => [owner, state])).toEqual([
      ['ada', 'running'],
      ['bob', 'stopped'],
      ['cy', 'idle'],
    ])
    expect(owners[0]).toMatchObject({
      app: 'shop',
      flyApp: 'shop',
      machineCount: 1,
      release: { number: 1 },
      memoryMib: 512,
      perHour: 3.6,
      url: 'http://ada.shop.internal:8080',
      since: expect.stringMatching(/^20/),
    })
    expect(owners[0]!.image).toMatch(/\/shop@sha256:/)

    expect((await list('?state=stopped')).owners.map(({ owner }) => owner)).toEqual(['bob'])
    const first = await list('?limit=2')
    expect([first.owners.map(({ owner }) => owner), first.next]).toEqual([['ada', 'bob'], 'bob'])
    const second = await list('?limit=2&cursor=bob')
    expect([second.owners.map(({ owner }) => owner), second.next]).toEqual([['cy'], null])
    for (const wrong of ['?state=asleep', '?limit=0', '?cursor=A/B', '?owner=ada'])
      expect((await list(wrong)).code).toMatch(/^option-/)

    // A page of a caller that is limited to some owners.
    await using api = new MachinesApi(overUndici(fly.url, 'secret'))
    const deps = {
      store: gateway.store,
      fly: api,
      org: 'personal',
      prices: null,
      signal: AbortSignal.timeout(5000),
    }
    const isSeen = ({ owner }: { owner: string }) => owner !== 'bob'
    const page = { limit: 1, before: null, isSeen }
    const seen = await listOwners('shop', {}, page, deps)
    expect([seen.owners.map(({ owner }) => owner), seen.next]).toEqual([['ada'], 'ada'])
    expect(seen.owners[0]!.perHour).toBe(null)
  },
)

test(
  'an owner is shown with machines, volumes, names of its variables and its last deployment',
  slow,
  async () => {
    await using gateway = await startOwners({ watchMs: 300 })
    const { fly, images, show, deploy, deployOwner, machineOf } = gateway
    const { id } = await deployOwner('ada', { env: { WHO: 'ada' } })
    await deployOwner('bob')
    const { body } = await show('ada')
    expect(body).toMatchObject({
      owner: 'ada',
      state: 'running',
      machines: [{ id: machineOf('ada')!.id, owner: 'ada', state: 'started' }],
      volumes: [{ sizeGb: 1, machine: machineOf('ada')!.id }],
      env: expect.arrayContaining(['WHO']),
      lastDeployment: { id, state: 'live', problem: null },
      changedBy: null,
    })
    expect(JSON.stringify(body.env)).not.toContain('ada')

    const broken = images.put('shop', 'broken')
    fly.natures.set(broken.digest, 'crashes')
    await deploy('shop', { image: broken.name }, { owner: 'ada' })
    expect((await show('ada')).body.lastDeployment).toMatchObject({
      state: 'deploy_failed',
      problem: { code: 'deploy-failed' },
    })
    fly.machines('shop').find((machine) => machine === machineOf('ada'))!.state = 'destroyed'
    expect((await show('ada')).body.state).toBe('missing')

    expect(await show('nobody')).toMatchObject({
      status: 404,
      body: {
        code: 'owner-not-found',
        detail: 'The app shop has no owner nobody. To list them: tarmac owners shop',
      },
    })
    expect(await show('A')).toMatchObject({ status: 422, body: { code: 'option-invalid' } })
  },
)

test(
  'a stopped owner gets no requests until it is started, also after a move to another release',
  slow,
  async () => {
    await using gateway = await startOwners()
    const { change, deployOwner, deploy, images, machineOf } = gateway
    await deployOwner('ada')
    await deployOwner('bob')
    expect(await change('ada', 'stop')).toMatchObject({
      status: 200,
      body: { state: 'stopped', changedBy: { by: 'operator' } },
    })
    expect(machineOf('ada')).toMatchObject({ state: 'stopped', cordoned: true, lease: null })
    expect(machineOf('bob')).toMatchObject({ state: 'started' })
    expect(await change('ada', 'suspend')).toMatchObject({
      status: 409,
      body: { code: 'owner-not-ready', detail: expect.stringContaining('no memory') },
    })

    const moved = await deploy('shop', { image: images.put('shop', 'v2').name }, { owner: 'ada' })
    expect(moved).toMatchObject({ state: 'live', release: 2 })
    expect(machineOf('ada')).toMatchObject({ state: 'stopped', cordoned: true })

    expect((await change('ada', 'start')).body).toMatchObject({ state: 'running', changedBy: null })
    expect(machineOf('ada')).toMatchObject({ state: 'started', cordoned: false })
    expect((await change('ada', 'suspend')).body.state).toBe('suspended')
    expect((await change('ada', 'start')).body.state).toBe('running')
  },
)

test(
  'an owner whose program ends when it is started stays stopped, and the answer says how',
  slow,
  async () => {
    await using gateway = await startOwners()
    const { fly, change, deployOwner, machineOf } = gateway
    await deployOwner('ada')
    await change('ada', 'stop')
    fly.processes = [{ command: 'server', listen_sockets: [{ address: '127.0.0.1:8080' }] }]
    fly.natures.set(machineOf('ada')!.image_ref!.digest!, 'crashes')
    const { id } = machineOf('ada')!
    expect(await change('ada', 'start')).toMatchObject({
      status: 409,
      body: {
        code: 'owner-not-ready',
        detail: `Its program was started, and ended by itself with exit code 7. Its log may say why: fly logs --app shop --machine ${id}`,
      },
    })
    expect(machineOf('ada')).toMatchObject({ state: 'stopped', cordoned: true })
    machineOf('ada')!.state = 'destroyed'
    expect(await change('ada', 'start')).toMatchObject({ body: { code: 'owner-not-ready' } })
    expect(await change('nobody', 'stop')).toMatchObject({ body: { code: 'owner-not-found' } })
    expect(await change('ada', 'restart')).toMatchObject({ body: { code: 'route-not-found' } })
  },
)

test(
  'a destroyed owner is gone with its volume, and nothing of it is expected; deployed again it is new',
  slow,
  async () => {
    await using gateway = await startOwners()
    const { fly, get, list, show, destroy, deployOwner, machineOf, watch } = gateway
    await deployOwner('ada')
    await deployOwner('bob')
    const { id } = machineOf('ada')!
    const volumes = () => fly.apps.get('shop')!.volumes.map((volume) => volume.id)
    const [ofAda] = (await show('ada')).body.volumes
    expect(await destroy('ada', '')).toMatchObject({ body: { code: 'option-invalid' } })
    expect(await destroy('ada', 'volumes=delete')).toEqual({
      status: 200,
      body: {
        app: 'shop',
        owner: 'ada',
        flyApp: null,
        machines: [id],
        volumes: { deleted: [ofAda!.id], kept: [] },
      },
    })
    expect(fly.machines('shop').map((machine) => machine.id)).toEqual([machineOf('bob')!.id])
    expect(volumes()).not.toContain(ofAda!.id)
    expect(volumes()).toHaveLength(1)
    expect((await list()).owners.map(({ owner }) => owner)).toEqual(['bob'])
    const drift = await get<DriftReport>('/v1/apps/shop/drift')
    expect([drift.drift, drift.missing, drift.degraded]).toEqual([[], [], []])
    await watch().look()
    for (const again of [await destroy('ada', 'volumes=delete'), await show('ada')])
      expect(again).toMatchObject({ status: 404, body: { code: 'owner-not-found' } })

    expect(await deployOwner('ada')).toMatchObject({ state: 'live', release: 1 })
    expect(machineOf('ada')!.id).not.toBe(id)
    expect(machineOf('ada')!.config.mounts![0]!.volume).not.toBe(ofAda!.id)
  },
)

test(
  'a destroyed owner whose volumes are kept can be deployed again, with the same volume and the next release',
  slow,
  async () => {
    await using gateway = await startOwners()
    const { get, list, show, change, destroy, deployOwner, machineOf, call, ended } = gateway
    await deployOwner('ada')
    const { id, config } = machineOf('ada')!
    const { volume } = config.mounts![0]!
    const answer = await destroy('ada', 'volumes=keep')
    expect(answer.body).toMatchObject({ machines: [id], volumes: { deleted: [], kept: [volume] } })
    expect((await destroy('ada', 'volumes=keep')).status).toBe(200)
    expect((await list()).owners).toMatchObject([
      { owner: 'ada', state: 'kept', machineCount: 0, url: null, release: { number: 1 } },
    ])
    expect((await show('ada')).body).toMatchObject({
      volumes: [{ id: volume, machine: null }],
      changedBy: { by: 'operator' },
    })
    expect(await change('ada', 'start')).toMatchObject({ body: { code: 'owner-not-ready' } })
    expect((await get<DriftReport>('/v1/apps/shop/drift')).missing).toEqual([])

    const { body } = await call<Deployment>('POST', '/v1/apps/shop/rollback?owner=ada&release=1')
    expect(await ended(body.id)).toMatchObject({ state: 'live', release: 2 })
    expect(machineOf('ada')!.config.mounts![0]!.volume).toBe(volume)
    expect((await list()).owners).toMatchObject([{ state: 'running' }])
    const { releases } = await get<ReleasePage>('/v1/apps/shop/releases?owner=ada')
    expect(releases.map(({ number }) => number)).toEqual([2, 1])

    await destroy('ada', 'volumes=keep')
    const last = await destroy('ada', 'volumes=delete')
    expect(last.body).toMatchObject({ machines: [], volumes: { deleted: [volume] } })
    expect((await list()).owners).toEqual([])
  },
)

test('a destroy that Fly interrupts goes on where it was when it is sent again', slow, async () => {
  await using gateway = await startOwners()
  const { fly, destroy, deployOwner, machineOf, show } = gateway
  await deployOwner('ada')
  const volume = machineOf('ada')!.config.mounts![0]!.volume!
  for (let left = 8; left > 0; left--) fly.faults.push({ on: /DELETE .*volumes/, fault: 'before' })
  expect(await destroy('ada', 'volumes=delete')).toMatchObject({
    status: 503,
    body: { code: 'fly-unavailable' },
  })
  expect((await show('ada')).body.state).toBe('missing')
  fly.faults.length = 0
  expect(await destroy('ada', 'volumes=delete')).toMatchObject({
    status: 200,
    body: { machines: [], volumes: { deleted: [volume] } },
  })
  expect((await show('ada')).status).toBe(404)
})

test(
  'while a deployment changes the owner’s machines it is not disturbed; those that wait are cancelled',
  slow,
  async () => {
    await using gateway = await startOwners({ watchMs: 1500 })
    const { call, change, destroy, deployOwner, ended, store, list } = gateway
    await deployOwner('ada')
    const post = (owner: string, more = {}) =>
      call<Deployment>('POST', '/v1/apps/shop/deployments', {
        source: { deployment: 'built' },
        owner,
        lane: 'fifo',
        ...more,
      })
    const [{ body: runs }, { body: waits }] = [await post('ada'), await post('ada')]
    const verifies = async () => expect((await store.find(runs.id))!.state).toBe('verifying')
    await vi.waitFor(verifies, { timeout: 10_000 })
    for (const answer of [await change('ada', 'stop'), await destroy('ada', 'volumes=delete')])
      expect(answer).toMatchObject({ status: 409, body: { code: 'app-busy', deployment: runs.id } })
    expect((await list()).owners).toMatchObject([{ state: 'deploying' }])
    expect((await store.find(waits.id))!.state).toBe('pending')
    expect((await ended(runs.id)).state).toBe('live')

    await ended(waits.id)
    const options = { owner: 'ada', lane: 'fifo' as const }
    await store.create({
      id: 'waits',
      app: 'shop',
      options: DeploymentOptions.parse(options),
      source: gateway.source,
    })
    expect((await destroy('ada', 'volumes=delete')).status).toBe(200)
    expect(await store.find('waits')).toMatchObject({
      state: 'cancelled',
      cancel: { by: 'operator', why: 'The owner ada is destroyed.' },
    })
  },
)

test(
  'with an app per owner, its machines are changed there, and a destroyed owner has no app',
  slow,
  async () => {
    await using gateway = await startOwners({ owners: 'app-per-owner' })
    const { fly, list, show, change, destroy, deployOwner, machineOf, watch, store } = gateway
    await deployOwner('ada')
    await deployOwner('bob')
    const { flyApp } = (await show('ada')).body
    expect(flyApp).toMatch(/^shop-ada-ow-/)
    const [volume] = (await show('ada')).body.volumes
    expect(volume).toMatchObject({ machine: machineOf('ada', flyApp)!.id })
    expect((await change('ada', 'stop')).body).toMatchObject({ state: 'stopped', flyApp })
    expect(machineOf('ada', flyApp)).toMatchObject({ state: 'stopped', cordoned: true })
    const before = fly.calls.length
    expect((await list()).owners).toMatchObject([
      { owner: 'ada', state: 'stopped', flyApp, machineCount: 1 },
      { owner: 'bob', state: 'running' },
    ])
    expect(fly.calls.slice(before)).toEqual(['GET /orgs/personal/machines'])

    expect((await destroy('ada', 'volumes=keep')).body).toMatchObject({
      flyApp: null,
      machines: [expect.any(String)],
      volumes: { kept: [volume!.id] },
    })
    expect(fly.machines(flyApp)).toEqual([])
    expect((await list('?state=kept')).owners).toMatchObject([{ owner: 'ada', flyApp }])
    await watch().look()
    expect(await deployOwner('ada')).toMatchObject({ state: 'live', release: 2 })
    expect(machineOf('ada', flyApp)!.config.mounts![0]!.volume).toBe(volume!.id)

    const { id } = machineOf('ada', flyApp)!
    expect((await destroy('ada', 'volumes=delete')).body).toEqual({
      app: 'shop',
      owner: 'ada',
      flyApp,
      machines: [id],
      volumes: { deleted: [volume!.id], kept: [] },
    })
    expect(fly.apps.has(flyApp)).toBe(false)
    expect((await list()).owners.map(({ owner }) => owner)).toEqual(['bob'])
    expect(store.ownerApps.list('shop')).toMatchObject([{ owner: 'bob' }])
    expect((await destroy('ada', 'volumes=delete')).body.code).toBe('owner-not-found')
    expect(await deployOwner('ada')).toMatchObject({ state: 'live', release: 1 })
    expect((await show('ada')).body.flyApp).toBe(flyApp)
  },
)

test(
  'a move takes the variables of the release, and those that are given for the owner',
  slow,
  async () => {
    await using gateway = await startOwners()
    const { deploy, deployOwner, machineOf, images } = gateway
    await deploy('shop', { image: images.put('shop', 'v2').name }, { env: { COLOR: 'red' } })
    await deployOwner('ada', { env: { WHO: 'ada' } })
    const release = { app: 'shop', release: 1 }
    const envOf = () => machineOf('ada')!.config.env
    const moved = await deploy('shop', release, { owner: 'ada', env: { WHO: 'ada' } })
    expect(moved).toMatchObject({ state: 'live', release: 2 })
    expect(envOf()).toMatchObject({ COLOR: 'red', WHO: 'ada' })

    const without = await deploy('shop', release, { owner: 'ada' })
    expect(envOf()).toMatchObject({ COLOR: 'red' })
    expect(envOf()).not.toHaveProperty('WHO')
    expect(without.warnings.join()).toContain('WHO. To keep one: deploy with --env NAME=VALUE')
  },
)
