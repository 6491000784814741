import { expect, test } from 'vitest'
import type { DriftList } from '#api/drift/drift-list.ts'
import type { DriftReport } from '#api/drift/report.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import { startMachines } from '../start-machines.ts'

test('drift is read and accepted by the API; a deployment and its release have findings of their own', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, call, deploy } = gateway
  const image = images.put('shop', 'v1').name
  await deploy('shop', { image }, { env: { KEY: 'red' } })
  const read = () => get<DriftReport>('/v1/apps/shop/drift')
  expect(await read()).toMatchObject({ made: true, findings: [], certificates: [] })
  // This Fly does not say any network.
  expect((await read()).ips).toMatchObject([{ network: { unknown: expect.any(String) } }])

  const [machine] = fly.machines('shop')
  machine!.config.env!['KEY'] = `ghp_${'a1B2'.repeat(9)}`
  fly.apps.get('shop')!.ips.push({ ip: '2001:db8::7' })
  const { findings } = await read()
  expect(findings).toMatchObject([
    {
      code: 'machine-changed',
      subject: machine!.id,
      expected: 'env.KEY "red"',
      advice: expect.stringContaining('tarmac rollback shop --release 1.'),
    },
    { code: 'public-address', subject: '2001:db8::7' },
  ])
  expect(findings[0]!.found).toMatch(/^env\.KEY "\S*\*+/)

  const accepted = await call<DriftReport>('POST', '/v1/apps/shop/drift/accept')
  expect(accepted).toMatchObject({ status: 200, body: { findings: [{ code: 'machine-changed' }] } })
  expect((await read()).findings).toHaveLength(1)
  // Accepting is a look, too.
  expect(await get<DriftList>('/v1/drift')).toMatchObject({
    checkedAt: null,
    looked: 1,
    apps: [{ app: 'shop', findings: [{ code: 'machine-changed', since: expect.any(String) }] }],
  })

  const wrong = async (method: string, path: string, body?: object) => {
    const answer = await call<ProblemBody>(method, path, body)
    return [answer.status, answer.body.code]
  }
  expect(await wrong('POST', '/v1/apps/nothing/drift/accept')).toEqual([404, 'app-not-found'])
  expect(await wrong('GET', '/v1/drift?app=shop')).toEqual([422, 'option-unknown'])
  expect(await wrong('POST', '/v1/apps/shop/drift/accept', { all: true })).toEqual([
    400,
    'request-invalid',
  ])
})
