import { expect, test as sequential } from 'vitest'
import type { ProblemBody } from '../../../../api/problem/body.ts'
import type { EnvAnswer, EnvList } from '../../../../api/runtime/env.ts'
import { startMachines } from '../../start-machines.ts'

// The tests wait for their turn at Fly's limits, so they wait together.
const test = sequential.concurrent

type Gateway = Awaited<ReturnType<typeof startMachines>>
const path = '/v1/apps/shop/env'
const change = async (gateway: Gateway, values: object, deploy?: boolean) =>
  (await gateway.call<EnvAnswer>('PATCH', path, { values, ...(deploy && { deploy }) })).body
const envOf = ({ fly }: Gateway) => fly.machines('shop')[0]!.config.env
const rows = async ({ get }: Gateway) =>
  (await get<EnvList>(path)).env.map(({ name, value, from, state }) => [name, value, from, state])

async function shop(gateway: Gateway, options: object = {}) {
  const { name } = gateway.images.put('shop', 'v1')
  expect(await gateway.deploy('shop', { image: name }, options)).toMatchObject({ state: 'live' })
}

test('a variable of the settings counts from the next deployment, under its options', async () => {
  await using gateway = await startMachines()
  await shop(gateway)
  const answer = await change(gateway, { LOG: 'debug', COLOUR: 'red' })
  expect(answer).toMatchObject({
    added: ['LOG', 'COLOUR'],
    deployments: [],
    notes: ['It counts from the next deployment.'],
    warnings: [],
  })
  expect(envOf(gateway)).not.toHaveProperty('LOG')
  expect(await change(gateway, { NEVER: null })).toMatchObject({ absent: ['NEVER'], notes: [] })
  expect(await rows(gateway)).toEqual([
    ['COLOUR', 'red', 'settings', 'next'],
    ['LOG', 'debug', 'settings', 'next'],
    ['PORT', '8080', 'source', 'running'],
  ])
})

test('with deploy it makes a release at once, with the same image and config', async () => {
  await using gateway = await startMachines()
  await shop(gateway, { env: { KEPT: 'yes' } })
  const set = await change(gateway, { LOG: 'debug' }, true)
  expect(await gateway.ended(set.deployments[0]!.id)).toMatchObject({
    state: 'live',
    release: 2,
    options: { trigger: 'env', message: 'env: LOG' },
    warnings: [],
  })
  expect(envOf(gateway)).toMatchObject({ LOG: 'debug', KEPT: 'yes', PORT: '8080' })
  expect(await rows(gateway)).toEqual([
    ['KEPT', 'yes', 'deployment', 'running'],
    ['LOG', 'debug', 'settings', 'running'],
    ['PORT', '8080', 'source', 'running'],
  ])

  const again = await change(gateway, { LOG: 'debug' }, true)
  expect(again).toMatchObject({ same: ['LOG'], deployments: [] })
  expect(again.notes).toEqual(['Nothing to deploy: shop runs with these variables already.'])

  const unset = await change(gateway, { LOG: null, NEVER: null }, true)
  expect(unset).toMatchObject({ removed: ['LOG'], absent: ['NEVER'] })
  const lacks =
    'This release lacks variables that release 2 had: LOG. To keep one: tarmac env set shop NAME=VALUE'
  expect(await gateway.ended(unset.deployments[0]!.id)).toMatchObject({
    state: 'live',
    release: 3,
    warnings: [lacks],
  })
  expect(envOf(gateway)).toEqual(expect.not.objectContaining({ LOG: 'debug' }))
  expect(envOf(gateway)).toMatchObject({ KEPT: 'yes' })
})

test('a value that looks like a secret is hidden in the list, and the answer says what is better', async () => {
  await using gateway = await startMachines()
  const token = `ghp_${'a1B2'.repeat(10)}`
  const answer = await change(gateway, { TOKEN: token, DB: 'postgres://me:hush@db/shop', A: '1' })
  expect(answer.warnings).toHaveLength(2)
  expect(answer.warnings[0]).toContain('tarmac secrets set shop TOKEN')
  expect(JSON.stringify(answer)).not.toMatch(/ghp_|hush/)
  const { env } = await gateway.get<EnvList>(path)
  expect(env).toMatchObject([
    { name: 'A', value: '1', hidden: false },
    { name: 'DB', value: 'postgres://me:***@db/shop', hidden: true },
    { name: 'TOKEN', value: '***', hidden: true },
  ])
})

test('a name that no variable can have, and one of Fly’s own, is refused', async () => {
  await using gateway = await startMachines()
  const refused = async (values: object) =>
    (await gateway.call<ProblemBody>('PATCH', path, { values })).body.detail
  expect(await refused({ 'A-B': '1' })).toContain('letters, digits and _')
  expect(await refused({ FLY_REGION: 'ams' })).toContain('FLY_')
  expect(await refused({ A: 'a\0b' })).toContain('NUL')
  expect(await refused({})).toContain('names no variable')
  expect(await refused({ A: 1 })).toContain('neither a text nor null')
})
