import { expect, test } from 'vitest'
import type { MachineView } from '../../../api/machines/machine-facts.ts'
import type { ProblemBody } from '../../../api/problem/body.ts'
import { machineLines, readMachinesArgs } from '../../../client/src/machines/machines.ts'
import { startMachines } from '../start-machines.ts'

test('the machines of an app are listed, stopped, started and restarted; nothing else of them changes', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, call, deploy } = gateway
  const { id: deployment } = await deploy('shop', { image: images.put('shop', 'v1').name })
  const before = fly.machines('shop')[0]!
  const list = async () =>
    (await get<{ machines: MachineView[] }>('/v1/apps/shop/machines')).machines
  const [machine] = await list()
  expect(await list()).toMatchObject([
    { id: before.id, state: 'started', group: 'app', owner: null, deployment, cordoned: false },
  ])

  const path = `/v1/apps/shop/machines/${machine!.id}`
  const change = (action: string) => call<MachineView>('POST', `${path}/${action}`)
  expect(await change('stop')).toMatchObject({ status: 200, body: { state: 'stopped' } })
  expect(await change('stop')).toMatchObject({ status: 200, body: { state: 'stopped' } })
  expect(await change('start')).toMatchObject({ status: 200, body: { state: 'started' } })
  expect(await change('restart')).toMatchObject({ status: 200, body: { state: 'started' } })
  const after = fly.machines('shop')[0]!
  expect([after.config, after.instance_id]).toEqual([before.config, before.instance_id])
})

test('an unknown app, machine or action is said, and a deployment that changes machines is not disturbed', async () => {
  await using gateway = await startMachines({ watchMs: 400 })
  const { fly, images, call, ended } = gateway
  const post = (path: string) => call<ProblemBody>('POST', `/v1/apps/${path}`)
  expect((await call('GET', '/v1/apps/none/machines')).status).toBe(404)

  const { body } = await call<{ id: string }>('POST', '/v1/apps/shop/deployments', {
    source: { image: images.put('shop', 'v1').name },
  })
  await expect.poll(() => fly.apps.get('shop') && fly.machines('shop')[0]?.state).toBe('started')
  const { id } = fly.machines('shop')[0]!
  expect((await post(`shop/machines/${id}/stop`)).body).toMatchObject({
    code: 'app-busy',
    deployment: body.id,
  })
  expect(await ended(body.id)).toMatchObject({ state: 'live' })
  expect((await post('shop/machines/nope/stop')).body).toMatchObject({
    code: 'machine-not-found',
    detail: 'The app shop has no machine nope. To list them: tarmac machines shop',
  })
  expect((await post(`shop/machines/${id}/destroy`)).body).toMatchObject({
    code: 'route-not-found',
  })
})

test('tarmac machines lists, and start, stop and restart take machines or all', () => {
  const of = (...args: string[]) => readMachinesArgs(args, (app) => app)
  expect(of('shop')).toEqual({ app: 'shop', action: null, ids: [] })
  expect(of('list', 'shop')).toEqual(of('shop'))
  expect(of('list')).toMatchObject({ app: 'list', action: null })
  expect(of('stop', 'shop', 'm1', 'm2')).toEqual({ app: 'shop', action: 'stop', ids: ['m1', 'm2'] })
  expect(of('restart', 'shop')).toEqual({ app: 'shop', action: 'restart', ids: [] })
  for (const wrong of [[], ['stop'], ['shop', 'm1'], ['list', 'shop', 'm1']])
    expect(of(...wrong)).toBe(null)

  const machine: MachineView = {
    id: '148e21eb4d9e89',
    flyApp: 'shop',
    name: 'shop-app-1',
    region: 'ams',
    state: 'started',
    group: 'app',
    owner: null,
    deployment: null,
    image: 'registry.fly.io/shop@sha256:aa',
    size: 'shared-cpu-1x',
    memoryMib: 256,
    checks: [
      { name: 'a', status: 'passing' },
      { name: 'b', status: 'critical' },
    ],
    changedAt: '2026-11-30T05:06:07.000Z',
    startsByItself: true,
    cordoned: false,
  }
  const owned = {
    ...machine,
    id: '17',
    owner: 'alice',
    state: 'stopped',
    cordoned: true,
    checks: [],
  }
  expect(machineLines('shop', [machine, owned])).toEqual([
    'MACHINE         GROUP  OWNER  REGION  STATE              CHECKS       SIZE                   SINCE (UTC)',
    '148e21eb4d9e89  app           ams     started            1 of 2 pass  shared-cpu-1x 256 MiB  2026-11-30 05:06',
    '17              app    alice  ams     stopped, cordoned               shared-cpu-1x 256 MiB  2026-11-30 05:06',
  ])
  expect(machineLines('shop', [])).toEqual(['shop has no machines'])
})
