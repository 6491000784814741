import { expect, test as sequential, vi } from 'vitest'
import type { Deployment } from '../../../../api/deployment.ts'
import type { ProblemBody } from '../../../../api/problem/body.ts'
import type { ReleasePage } from '../../../../api/release.ts'
import type { RuntimeSecrets, SecretsAnswer } from '../../../../api/runtime/secrets.ts'
import { startMachines } from '../../start-machines.ts'

// The tests wait for their turn at Fly's limits, so they wait together.
const test = sequential.concurrent

type Gateway = Awaited<ReturnType<typeof startMachines>>
const path = '/v1/apps/shop/runtime-secrets'

/** An app with one live release. */
async function shop(gateway: Gateway) {
  const { name } = gateway.images.put('shop', 'v1')
  expect(await gateway.deploy('shop', { image: name })).toMatchObject({ state: 'live', release: 1 })
}
const change = async (gateway: Gateway, values: object, more: object = {}) =>
  (await gateway.call<SecretsAnswer>('PATCH', path, { values, ...more })).body
const list = ({ get }: Gateway) => get<RuntimeSecrets>(path)
const states = async (gateway: Gateway) =>
  Object.fromEntries((await list(gateway)).secrets.map(({ name, state }) => [name, state]))
const releaseOf = async ({ get }: Gateway) =>
  (await get<ReleasePage>('/v1/apps/shop/releases')).releases[0]!

test('a secret is set in Fly’s store and deployed as a new release, which an extra machine tries first', async () => {
  await using gateway = await startMachines()
  const { fly, ended } = gateway
  await shop(gateway)
  const image = fly.machines('shop')[0]!.config.image

  const answer = await change(gateway, { API_KEY: 'first-value', DB: 'postgres' })
  expect(answer).toMatchObject({ app: 'shop', added: ['API_KEY', 'DB'], changed: [], refused: [] })
  const [made] = answer.deployments
  const deployment = await ended(made!.id)
  expect(deployment).toMatchObject({
    state: 'live',
    release: 2,
    from: { app: 'shop', owner: null, release: 1 },
    options: {
      strategy: 'canary',
      trigger: 'secrets',
      message: 'secrets: API_KEY (added), DB (added)',
    },
    warnings: [],
  })
  expect(fly.machines('shop')).toHaveLength(1)
  expect(fly.machines('shop')[0]!.config.image).toBe(image)
  expect((await releaseOf(gateway)).secrets?.map(({ name }) => name)).toEqual(['API_KEY', 'DB'])
  expect(await states(gateway)).toEqual({ API_KEY: 'deployed', DB: 'deployed' })

  const texts = JSON.stringify([answer, deployment, await list(gateway), await releaseOf(gateway)])
  expect(texts).not.toContain('first-value')
})

test('machines get the version of the secrets that the gateway has made, or a newer one', async () => {
  await using gateway = await startMachines()
  const { fly, ended } = gateway
  await shop(gateway)
  expect(fly.minSecretsVersions).toEqual([undefined])
  const { deployments } = await change(gateway, { A: '1' })
  await ended(deployments[0]!.id)
  expect(fly.minSecretsVersions.slice(1)).toEqual([1, 1]) // the canary and the machine
})

test('a deployment waits until Fly has the version, and starts no machine with older secrets', async () => {
  await using gateway = await startMachines()
  const { fly } = gateway
  await shop(gateway)
  await change(gateway, { A: '1' }, { deploy: false })
  fly.apps.get('shop')!.secretsVersion = 0 // a part of Fly that lags behind
  const { name } = gateway.images.put('shop', 'v2')
  const { body } = await gateway.call<Deployment>('POST', '/v1/apps/shop/deployments', {
    source: { image: name },
  })
  const lagging = () => fly.calls.filter((call) => call.endsWith('/secrets')).length
  const before = lagging()
  await vi.waitUntil(() => lagging() > before + 1, { timeout: 20_000 })
  expect(fly.minSecretsVersions).toEqual([undefined])
  fly.apps.get('shop')!.secretsVersion = 1
  expect(await gateway.ended(body.id)).toMatchObject({ state: 'live', release: 2 })
  expect(fly.minSecretsVersions).toEqual([undefined, 1])
})

test('staged secrets wait for the next deployment, or for secrets deploy', async () => {
  await using gateway = await startMachines()
  const { ended, call } = gateway
  await shop(gateway)
  const answer = await change(gateway, { A: '1' }, { deploy: false })
  expect(answer).toMatchObject({ added: ['A'], deployments: [] })
  expect(answer.notes.join(' ')).toContain('tarmac secrets deploy shop')
  expect(await states(gateway)).toEqual({ A: 'staged' })

  const deploy = async () => (await call<SecretsAnswer>('POST', `${path}/deploy`)).body
  const { deployments } = await deploy()
  expect(await ended(deployments[0]!.id)).toMatchObject({ state: 'live', release: 2 })
  expect(await states(gateway)).toEqual({ A: 'deployed' })

  const again = await deploy()
  expect(again).toMatchObject({ deployments: [], refused: [] })
  expect(again.notes).toEqual(['Nothing to deploy: release 2 of shop has these secrets already.'])
})

test('the same change again does nothing', async () => {
  await using gateway = await startMachines()
  await shop(gateway)
  const { deployments } = await change(gateway, { A: '1', B: '2' })
  await gateway.ended(deployments[0]!.id)
  expect(await change(gateway, { A: '1', NOT_THERE: null })).toMatchObject({
    added: [],
    changed: [],
    same: ['A'],
    removed: [],
    absent: ['NOT_THERE'],
    deployments: [],
  })
})

test('a removed secret is removed with the next release, which says that it lacks it', async () => {
  await using gateway = await startMachines()
  await shop(gateway)
  const first = await change(gateway, { A: '1', B: '2' })
  await gateway.ended(first.deployments[0]!.id)
  await change(gateway, { A: null }, { deploy: false })
  expect(await list(gateway)).toMatchObject({
    secrets: [
      { name: 'A', digest: null, state: 'removed', changedBy: 'tarmac' },
      { name: 'B', state: 'deployed', changedBy: null },
    ],
    warnings: [],
  })

  const { deployments } = (await gateway.call<SecretsAnswer>('POST', `${path}/deploy`)).body
  const lacks =
    'This release lacks secrets that release 2 had: A. To set one again: tarmac secrets set shop NAME'
  const deployment = await gateway.ended(deployments[0]!.id)
  expect(deployment).toMatchObject({ state: 'live', release: 3, warnings: [lacks] })
  expect(deployment.log).toContainEqual(expect.objectContaining({ type: 'warning', text: lacks }))
  expect(await gateway.log(deployment.id)).toContain(`warning: ${lacks}`)
})

test('what another tool has changed is a warning in the list and in the next deployment', async () => {
  await using gateway = await startMachines()
  await shop(gateway)
  const { deployments } = await change(gateway, { OURS: '1' })
  await gateway.ended(deployments[0]!.id)
  const app = gateway.fly.apps.get('shop')!
  app.secrets = [...app.secrets, { name: 'THEIRS', digest: 'd' }]
  app.secretsVersion = 7

  const warning = 'Another tool has changed secrets on Fly since release 2 of shop: THEIRS (added).'
  expect(await list(gateway)).toMatchObject({
    secrets: [
      { name: 'OURS', state: 'deployed' },
      { name: 'THEIRS', state: 'staged', changedBy: 'another tool' },
    ],
    warnings: [warning],
  })
  const { name } = gateway.images.put('shop', 'v2')
  expect(await gateway.deploy('shop', { image: name })).toMatchObject({
    state: 'live',
    warnings: [warning],
  })
  expect((await list(gateway)).warnings).toEqual([])
})

test('a secret that a deployment cannot run with is tried on an extra machine; the others stay as they are', async () => {
  await using gateway = await startMachines()
  await shop(gateway)
  const { fly } = gateway
  const before = fly.machines('shop').map(({ id, instance_id }) => [id, instance_id])
  const digest = fly.machines('shop')[0]!.image_ref!.digest!
  fly.natures.set(digest, 'crashes')
  const { deployments } = await change(gateway, { A: 'bad' })
  expect(await gateway.ended(deployments[0]!.id)).toMatchObject({ state: 'deploy_failed' })
  expect(fly.machines('shop').map(({ id, instance_id }) => [id, instance_id])).toEqual(before)
  expect(await states(gateway)).toEqual({ A: 'staged' })
})

test('secrets that change while machines change count as staged, and the record says so', async () => {
  await using gateway = await startMachines({ watchMs: 300 })
  await shop(gateway)
  const { fly } = gateway
  const { name } = gateway.images.put('shop', 'v2')
  const { body } = await gateway.call<Deployment>('POST', '/v1/apps/shop/deployments', {
    source: { image: name },
  })
  const isVerifying = async () => (await gateway.store.find(body.id))!.state === 'verifying'
  await vi.waitUntil(isVerifying, { timeout: 20_000 })
  fly.apps.get('shop')!.secrets = [{ name: 'LATE', digest: 'l' }]
  const deployment = await gateway.ended(body.id)
  expect(deployment.warnings.join(' ')).toContain(
    'LATE (added). Some machines may lack the change.',
  )
  expect((await releaseOf(gateway)).secrets).toEqual([])
  expect(await states(gateway)).toEqual({ LATE: 'staged' })
})

test('a target whose deployment has not ended gets no second one, and the secrets are set', async () => {
  await using gateway = await startMachines()
  await shop(gateway)
  const source = new Blob(['a source'])
  const { body } = await gateway.form<Deployment>('/v1/apps/shop/deployments', { source })
  expect(await change(gateway, { A: '1' })).toMatchObject({
    added: ['A'],
    deployments: [],
    refused: [{ owner: null, problem: { code: 'lane-busy', deployment: body.id } }],
  })
  await gateway.build(body.id, null)
  const { deployments } = (await gateway.call<SecretsAnswer>('POST', `${path}/deploy`)).body
  for (const { id } of deployments) await gateway.ended(id)
  expect(await states(gateway)).toEqual({ A: 'deployed' })
})

test('each owner of a shared app is a target: all get the secrets, because Fly keeps them per app', async () => {
  await using gateway = await startMachines()
  const { name } = gateway.images.put('shop', 'v1')
  for (const owner of ['alice', 'bob'])
    expect(await gateway.deploy('shop', { image: name }, { owner })).toMatchObject({
      state: 'live',
    })
  const answer = await change(gateway, { A: '1' })
  expect(answer.deployments.map(({ owner }) => owner)).toEqual(['alice', 'bob'])
  expect(answer.notes.join(' ')).toContain('Fly keeps secrets per app: 2 of the 2 targets of shop')
  for (const { id } of answer.deployments)
    expect(await gateway.ended(id)).toMatchObject({ state: 'live', release: 2 })
  expect(await states(gateway)).toEqual({ A: 'deployed' })
})

test('a gateway that dies during a change finds out what came of it', async () => {
  await using gateway = await startMachines()
  await shop(gateway)
  const { fly, store } = gateway
  // As if it died after Fly had the change, and before its record had the answer.
  await store.runtimeSecrets.note('shop', { flyId: null, version: 0, own: { A: '', B: '' } })
  Object.assign(fly.apps.get('shop')!, {
    secrets: [{ name: 'A', digest: 'a' }],
    secretsVersion: 4,
  })
  expect(await list(gateway)).toMatchObject({
    secrets: [{ name: 'A', state: 'staged', changedBy: 'tarmac' }],
    warnings: [],
  })
  expect(await store.runtimeSecrets.find('shop')).toMatchObject({
    version: 5, // Fly gave its version in the answer to a change of nothing
    own: { A: 'a', B: null },
  })
})

test('a later app of the same name begins its versions again', { timeout: 30_000 }, async () => {
  await using gateway = await startMachines()
  await shop(gateway)
  await gateway.store.runtimeSecrets.note('shop', { flyId: 'an older app', version: 9, own: {} })
  expect(await list(gateway)).toMatchObject({ secrets: [] })
  expect(await gateway.store.runtimeSecrets.find('shop')).toMatchObject({ version: 0 })
})

test('a refusal names the secret and the limit, and never shows a value', async () => {
  await using gateway = await startMachines()
  await shop(gateway)
  const refused = async (body: object, status = 422) => {
    const answer = await gateway.call<ProblemBody>('PATCH', path, body)
    expect(answer.status).toBe(status)
    expect(JSON.stringify(answer.body)).not.toContain('hush')
    return answer.body.detail
  }
  expect(await refused({ values: { 'A-B': 'hush' } })).toContain('named like a variable')
  expect(await refused({ values: { A: 'hush'.repeat(20_000) } })).toContain('at most 64 KiB')
  expect(await refused({ values: { A: 'hush\0' } })).toContain('NUL')
  expect(await refused({ values: {} })).toContain('names no secret')
  expect(await refused({ values: { A: { hush: 1 } } }, 400)).toContain('The value of A')
  expect(await refused({ values: { A: 'hush' }, stage: true })).toContain('no field stage')
  const many = Object.fromEntries(Array.from({ length: 501 }, (_, at) => [`A${at}`, 'hush']))
  expect(await refused({ values: many })).toContain('at most 500')
  // Fly repeats what it was sent.
  expect(await refused({ values: { A: 'hush "refuse"' } }, 502)).toContain('***')
  expect(gateway.fly.apps.get('shop')!.secrets).toEqual([])
})

test('secrets of an app that Fly does not have are refused, with the way to make it', async () => {
  await using gateway = await startMachines()
  for (const app of ['nowhere', 'of-somebody-else']) {
    const { status, body } = await gateway.call<ProblemBody>(
      'PATCH',
      `/v1/apps/${app}/runtime-secrets`,
      { values: { A: '1' } },
    )
    expect(status).toBe(404)
    expect(body).toMatchObject({ code: 'app-not-found' })
    expect(body.detail).toContain(`tarmac deploy ${app} --no-deploy`)
  }
})

test('an app without machines keeps its secrets for its first deployment', async () => {
  await using gateway = await startMachines()
  const { fly } = gateway
  fly.apps.set('shop', { name: 'shop', ips: [], machines: new Map(), volumes: [], secrets: [] })
  const answer = await change(gateway, { A: '1' })
  expect(answer).toMatchObject({
    added: ['A'],
    deployments: [],
    notes: ['shop has no machines: its first deployment gets the secrets.'],
  })
  await shop(gateway)
  expect(await states(gateway)).toEqual({ A: 'deployed' })
})
