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
