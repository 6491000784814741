import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import type { DriftReport } from '#api/drift/report.ts'
import type { Release } from '#api/release.ts'
import type { FakeFly } from '../../../fakes/machines-api.ts'
import { startMachines } from '../../start-machines.ts'

/** The program of an app's first machine ends. `state`: what Fly makes of the machine. */
function crash(fly: FakeFly, app: string, state: 'started' | 'stopped'): string {
  const machine = fly.machines(app)[0]!
  machine.state = state
  machine.events?.unshift({
    type: 'exit',
    status: 'stopped',
    timestamp: Date.now(),
    request: { exit_event: { exit_code: 7, requested_stop: false } },
  })
  return machine.id
}

const isRelease = ({ type }: DeploymentEvent) => type === 'release'

test('a crash after the watch is in the release, the record, drift and the log; the deployment stays live', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, deploy, ended } = gateway
  const made = await deploy('web', { image: images.put('web', 'v1').name })
  expect(made).toMatchObject({ releaseState: 'healthy', crashes: [] })
  const watch = gateway.watch()
  await watch.look()
  expect((await get<DriftReport>('/v1/apps/web/drift')).degraded).toEqual([])

  const machine = crash(fly, 'web', 'stopped')
  await watch.look()
  const crashes = [
    expect.objectContaining({ machine, why: 'ended by itself with exit code 7', endedAt: null }),
  ]
  expect(await get<Release>('/v1/apps/web/releases/1')).toMatchObject({
    state: 'degraded',
    crashes,
  })
  expect(await get('/v1/apps/web/releases')).toMatchObject({ releases: [{ state: 'degraded' }] })
  expect(await get<Deployment>(`/v1/deployments/${made.id}`)).toMatchObject({
    state: 'live',
    releaseState: 'degraded',
    crashes,
    endedAt: made.endedAt,
  })
  expect((await get<DriftReport>('/v1/apps/web/drift')).degraded).toEqual([
    { owner: null, release: 1, deployment: made.id, crashes },
  ])
  const { log } = await ended(made.id)
  expect(log.filter(isRelease)).toMatchObject([{ release: 1, state: 'degraded', machine }])
  expect(log.map(({ seq }) => seq)).toEqual(log.map((_, index) => index + 1))

  const text = await gateway.log(made.id)
  expect(text).toMatch(/=> live\n.*Release 1 is degraded: machine \w+ ended by itself/)
  expect(text).toMatch(
    /warning: Release 1 is degraded: machine \w+ ended by itself with exit code 7/,
  )
})

test('drift looks itself; a machine that a person destroyed is missing there, and no degradation', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, deploy } = gateway
  const options = { count: 2 }
  const { machines } = await deploy('web', { image: images.put('web', 'v1').name }, options)
  crash(fly, 'web', 'stopped')
  const drift = () => get<DriftReport>('/v1/apps/web/drift')
  expect(await drift()).toMatchObject({ degraded: [{ release: 1 }], missing: [] })

  const gone = machines[0]!.id
  fly.apps.get('web')!.machines.delete(gone)
  expect(await drift()).toMatchObject({
    degraded: [],
    missing: [{ machine: gone, owner: null, release: 1 }],
  })
  expect(await get('/v1/apps/web/releases/1')).toMatchObject({
    state: 'healthy',
    crashes: [{ ending: 'gone' }],
  })
})

test('one call looks at all apps; only apps with changes and degraded ones are asked for more', async () => {
  await using gateway = await startMachines()
  const { fly, images, deploy } = gateway
  for (const app of ['one', 'two', 'three'])
    await deploy(app, { image: images.put(app, 'v1').name })
  const watch = gateway.watch()
  const look = async () => {
    fly.calls.length = 0
    await watch.look()
    return fly.calls.map((call) => call.replace('GET /', ''))
  }
  await look()
  const all = 'orgs/personal/machines'
  expect(await look()).toEqual([all])

  crash(fly, 'two', 'started')
  expect(await look()).toEqual([all, 'apps/two/machines'])
  expect(await look()).toEqual([all, 'apps/two/machines'])
  expect(fly.tooFast).toBe(0)
})

test('a gateway that wakes looks at every newest release, and only at those', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, deploy } = gateway
  const image = images.put('shared', 'v1').name
  for (const owner of ['alice', 'bob']) await deploy('shared', { image }, { owner })
  await deploy('shared', { image: images.put('shared', 'v2').name }, { owner: 'bob' })
  const [alices] = fly.machines('shared')
  expect(alices?.config.metadata).toMatchObject({ tarmac_owner: 'alice' })
  crash(fly, 'shared', 'started')

  await gateway.watch().look()
  const state = async (owner: string, number: number) =>
    (await get<Release>(`/v1/apps/shared/releases/${number}?owner=${owner}`)).state
  expect([await state('alice', 1), await state('bob', 1), await state('bob', 2)]).toEqual([
    'degraded',
    'healthy',
    'healthy',
  ])
})

test('a newer release is healthy; the older one keeps when and why', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, deploy } = gateway
  await deploy('web', { image: images.put('web', 'v1').name })
  const watch = gateway.watch()
  crash(fly, 'web', 'stopped')
  await watch.look()
  const next = await deploy('web', { image: images.put('web', 'v2').name })
  await watch.look()
  expect(next).toMatchObject({ state: 'live', releaseState: 'healthy' })
  expect(fly.machines('web')).toMatchObject([{ state: 'started' }])
  expect(await get('/v1/apps/web/releases')).toMatchObject({
    releases: [
      { number: 2, state: 'healthy', crashes: [] },
      { number: 1, state: 'degraded', crashes: [{ endedAt: null }] },
    ],
  })
})

test('a machine that flyctl has put on another image says nothing about the release', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, deploy } = gateway
  await deploy('web', { image: images.put('web', 'v1').name })
  fly.machines('web')[0]!.image_ref!.digest = 'sha256:other'
  crash(fly, 'web', 'stopped')
  await gateway.watch().look()
  expect(await get('/v1/apps/web/releases/1')).toMatchObject({ state: 'healthy' })
})

test('a look that Fly does not answer changes nothing, and the next one goes on', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, deploy } = gateway
  await deploy('web', { image: images.put('web', 'v1').name })
  const watch = gateway.watch()
  crash(fly, 'web', 'stopped')
  for (let time = 0; time < 5; time++)
    fly.faults.push({ on: /apps\/web\/machines/, fault: 'before' })
  await watch.look()
  expect(await get('/v1/apps/web/releases/1')).toMatchObject({ state: 'healthy' })
  await watch.look()
  expect(await get('/v1/apps/web/releases/1')).toMatchObject({ state: 'degraded' })
})
