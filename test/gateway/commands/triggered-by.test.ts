import { expect, test } from 'vitest'
import type { Deployment } from '../../../api/deployment.ts'
import type { DeploymentEvent } from '../../../api/event.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import type { Rollout } from '../../../api/rollout.ts'
import { renderEvent } from '../../../api/text/render-event.ts'
import { startMachines } from '../start-machines.ts'

const who = { name: 'operator', kind: 'operator' }

test(
  'a deployment, its retry and its rollback have their caller, also in the first line of the log',
  { timeout: 30_000 },
  async () => {
    await using gateway = await startMachines()
    const { images, call, deploy, ended, store } = gateway
    const [one, two] = [images.put('shop', 'v1'), images.put('shop', 'v2')]
    const first = await deploy('shop', { image: one.name }, { trigger: 'by hand' })
    expect(first).toMatchObject({ triggeredBy: who, options: { trigger: 'by hand' } })
    await deploy('shop', { image: two.name })

    const [event] = await store.eventsAfter(first.id, 0, 1)
    expect(event).toMatchObject({ type: 'state', state: 'pending', triggeredBy: who })
    expect(renderEvent(event as DeploymentEvent, first.createdAt)).toContain(
      '=> pending by operator',
    )

    const retried = await call<Deployment>('POST', `/v1/deployments/${first.id}/retry`)
    expect(retried.body).toMatchObject({ triggeredBy: who, options: { trigger: 'retry' } })
    await ended(retried.body.id)
    const back = await call<Deployment>('POST', '/v1/apps/shop/rollback')
    expect(back.body).toMatchObject({ triggeredBy: who, options: { trigger: 'rollback' } })
  },
)

test('a rollout has its caller', async () => {
  await using gateway = await startMachines()
  const { images, call, get, rolledOut } = gateway
  const { body } = await call<Rollout>('POST', '/v1/rollouts', {
    source: { image: images.put('shop', 'v1').name },
    targets: [{ app: 'shop' }],
  })
  expect(body.triggeredBy).toEqual(who)
  await rolledOut(body.id)
  expect(await get('/v1/rollouts')).toMatchObject({ rollouts: [{ triggeredBy: who }] })
})

test('a rollout that goes on after a restart gives its deployments its own caller', async () => {
  await using gateway = await startMachines()
  const { images, rolledOut, restart, store } = gateway
  const triggeredBy = { name: 'token:ci', kind: 'token' } as const
  const id = '01900000-0000-7000-8000-000000000001'
  await store.rollouts.create(
    {
      id,
      source: { image: images.put('shop', 'v1').name },
      build: null,
      triggeredBy,
      parallel: 1,
      maxFailures: 1,
      targets: [{ app: 'shop', options: DeploymentOptions.parse({}), deployment: 'd1' }],
    },
    { requestBody: 1, idempotencyKey: null },
  )
  await restart()
  await rolledOut(id)
  expect(await store.find('d1')).toMatchObject({ state: 'live', triggeredBy })
})
