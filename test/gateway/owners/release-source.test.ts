import { expect, test } from 'vitest'
import type { ProblemBody } from '#api/problem/body.ts'
import { startMachines } from '../start-machines.ts'

test('a release of another owner without its app is refused, and no other release is deployed', async () => {
  await using gateway = await startMachines()
  const { images, deploy, call } = gateway
  const { name: image } = images.put('shop', 'v1')
  for (const owner of ['ada', 'bob']) await deploy('shop', { image }, { owner })
  const source = { release: 1, owner: 'ada' }
  const path = '/v1/apps/shop/deployments'
  const { status, body } = await call<ProblemBody>('POST', path, { source, owner: 'bob' })
  expect([status, body.code]).toEqual([422, 'option-invalid'])
  expect(body.detail).toContain('say both: app shop, owner ada')
  const named = await deploy('shop', { ...source, app: 'shop' }, { owner: 'bob' })
  expect(named).toMatchObject({ state: 'live', from: { app: 'shop', owner: 'ada', release: 1 } })
  expect((await deploy('shop', source, { owner: 'ada' })).state).toBe('live')
}, 20_000)

test('no owner gets the variables of another with its release, however it came to them', async () => {
  await using gateway = await startMachines()
  const { images, deploy, fly } = gateway
  const [v1, v2] = ['v1', 'v2'].map((tag) => images.put('shop', tag).name)
  const first = await deploy('shop', { image: v1! }, { owner: 'bob', env: { KEY: 'bobs' } })
  await deploy('shop', { image: v2! }, { owner: 'bob', env: { MORE: 'bobs' } })
  const envOf = (owner: string) =>
    fly.machines('shop').find(({ config }) => config.metadata?.['tarmac_owner'] === owner)?.config
      .env
  expect(envOf('bob')).toMatchObject({ KEY: 'bobs', MORE: 'bobs' })

  const source = { app: 'shop', owner: 'bob', release: 'newest' } as const
  const moved = await deploy('shop', source, { owner: 'ada', env: { OWN: 'adas', KEY: 'adas' } })
  expect(moved.state).toBe('live')
  const env = envOf('ada')
  expect(env).toMatchObject({ OWN: 'adas', KEY: 'adas' })
  expect(env).not.toHaveProperty('MORE')
  await deploy('shop', { deployment: first.id }, { owner: 'cleo' })
  expect(JSON.stringify(envOf('cleo'))).not.toContain('bobs')
  // Its own variables stay with its own releases.
  await deploy('shop', { release: 1 }, { owner: 'bob' })
  expect(envOf('bob')).toMatchObject({ KEY: 'bobs' })
}, 30_000)
