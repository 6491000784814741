import { expect, test } from 'vitest'
import type { Deployment } from '../../../api/deployment.ts'
import { startMachines } from '../start-machines.ts'

test('a rollback is registered with Fly as a release of its own, with the config that it restores', async () => {
  await using gateway = await startMachines({ registers: true })
  const { fly, images, call, ended, deploy } = gateway
  const [one, two] = [images.put('shop', 'v1'), images.put('shop', 'v2')]
  await deploy('shop', { image: one.name }, { env: { COLOUR: 'red' } })
  const second = await deploy('shop', { image: two.name }, { env: { COLOUR: 'blue', NEW: 'yes' } })
  expect(second.log).toContainEqual(
    expect.objectContaining({ type: 'note', text: 'Fly knows this deployment as release v2.' }),
  )

  const { body } = await call<Deployment>('POST', '/v1/apps/shop/rollback')
  await ended(body.id)
  const [first, , third] = fly.releases.of('shop')
  expect(third).toMatchObject({
    version: 3,
    status: 'complete',
    image_ref: first!.image_ref,
    definition: first!.definition!,
  })
  expect(third?.definition).toMatchObject({ app: 'shop', env: { COLOUR: 'red', PORT: '8080' } })
  expect(third?.definition?.['env']).not.toHaveProperty('NEW')
  expect(fly.machines('shop')[0]?.config.metadata?.['fly_release_version']).toBe('3')
})

test('a release of one app on another app is registered under its own name', async () => {
  await using gateway = await startMachines({ registers: true })
  const { fly, images, deploy } = gateway
  const image = images.put('shop', 'v1')
  await deploy('shop', { image: image.name })
  const copied = await deploy('other', { release: 1, app: 'shop' })
  expect([copied.state, copied.problem]).toEqual(['live', null])
  expect(fly.releases.of('other')).toMatchObject([{ version: 1, definition: { app: 'other' } }])
})
