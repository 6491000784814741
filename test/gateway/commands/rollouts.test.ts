import { expect, test } from 'vitest'
import type { Deployment } from '../../../api/deployment.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import type { ProblemBody } from '../../../api/problem/body.ts'
import type { DriftReport } from '../../../api/drift/report.ts'
import type { ReleasePage } from '../../../api/release.ts'
import type { Rollout, RolloutPage } from '../../../api/rollout.ts'
import { startMachines } from '../start-machines.ts'

type Gateway = Awaited<ReturnType<typeof startMachines>>
const rollOut = async ({ call, rolledOut }: Gateway, body: object) => {
  const { status, body: made } = await call<Rollout>('POST', '/v1/rollouts', body)
  expect(status).toBe(202)
  return rolledOut(made.id)
}
const ownersOf = ({ fly }: Gateway) =>
  Object.fromEntries(
    fly
      .machines('shared')
      .map((machine) => [machine.config.metadata?.['tarmac_owner'] ?? '', machine]),
  )

test(
  'each owner in a shared app has its own machine, env, volume, releases and address; the app’s lane leaves them alone',
  { timeout: 30_000 },
  async () => {
    await using gateway = await startMachines()
    const { fly, images, call, get, ended, deploy } = gateway
    const [one, two] = [images.put('shared', 'v1'), images.put('shared', 'v2')]
    await deploy('shared', { image: one.name }, { env: { WHO: 'everybody' } })
    const [ada, bob] = await Promise.all(
      ['ada', 'bob'].map((owner) =>
        deploy('shared', { image: one.name }, { owner, env: { WHO: owner } }),
      ),
    )
    expect(ada).toMatchObject({
      state: 'live',
      release: 1,
      owner: 'ada',
      url: 'http://ada.shared.internal:8080',
    })
    expect(bob).toMatchObject({ state: 'live', release: 1, owner: 'bob' })

    const before = ownersOf(gateway)
    expect(Object.keys(before).toSorted()).toEqual(['', 'ada', 'bob'])
    expect(before['ada']!.name).toMatch(/^ada-app-1-/)
    expect(before['ada']!.config.env).toMatchObject({ WHO: 'ada' })

    await deploy('shared', { image: two.name })
    await deploy('shared', { image: two.name }, { owner: 'bob', env: { MORE: 'yes' } })
    const digests = () =>
      Object.fromEntries(
        Object.entries(ownersOf(gateway)).map(([owner, { image_ref }]) => [
          owner,
          image_ref?.digest,
        ]),
      )
    expect(digests()).toEqual({ '': two.digest, ada: one.digest, bob: two.digest })

    const back = await call<Deployment>('POST', '/v1/apps/shared/rollback?owner=bob')
    expect(await ended(back.body.id)).toMatchObject({
      state: 'live',
      release: 3,
      owner: 'bob',
      from: { owner: 'bob' },
    })
    expect(digests()).toEqual({ '': two.digest, ada: one.digest, bob: one.digest })
    expect(ownersOf(gateway)['bob']!.config.env).not.toHaveProperty('MORE')
    expect(ownersOf(gateway)['ada']).toMatchObject({ made: 1 }) // changed once, at its creation

    const numbers = async (query: string) =>
      (await get<ReleasePage>(`/v1/apps/shared/releases${query}`)).releases.map(
        ({ number }) => number,
      )
    expect([await numbers(''), await numbers('?owner=ada'), await numbers('?owner=bob')]).toEqual([
      [2, 1],
      [1],
      [3, 2, 1],
    ])
    expect((await get<DriftReport>('/v1/apps/shared/drift')).drift).toEqual([])
    expect(fly.tooFast).toBe(0)
  },
)

test(
  'an owner’s machine has a volume that no other owner gets, and the owner’s next machine gets it again',
  { timeout: 30_000 },
  async () => {
    const flyToml = '[[mounts]]\nsource = "data"\ndestination = "/data"\ninitial_size = "3gb"'
    await using gateway = await startMachines({ flyToml })
    const { fly, images, deploy, store, source } = gateway
    const { digest } = images.put('shared', 'v1')
    await store.create({
      id: 'built',
      app: 'shared',
      options: DeploymentOptions.parse({ deploy: false }),
      source,
    })
    await gateway.build('built', { reference: `${images.host}/shared@${digest}`, digest, tags: [] })
    const volumeOf = async (owner: string | null) => {
      fly.faults.push({ on: /POST .*volumes/, fault: 'lost' })
      expect(await deploy('shared', { deployment: 'built' }, { owner })).toMatchObject({
        state: 'live',
      })
      const mount = ownersOf(gateway)[owner ?? '']!.config.mounts![0]!
      const volume = fly.apps.get('shared')!.volumes.find(({ id }) => id === mount.volume)
      expect(mount).toMatchObject({ path: '/data', name: volume?.name })
      return volume
    }
    const [own, ada, bob] = [await volumeOf(null), await volumeOf('ada'), await volumeOf('bob')]
    expect([own, ada, bob].map((volume) => [volume?.name, volume?.size_gb])).toEqual([
      ['data', 3],
      [expect.stringMatching(/^data_o[\da-f]{11}$/), 3],
      [expect.stringMatching(/^data_o[\da-f]{11}$/), 3],
    ])

    ownersOf(gateway)['ada']!.state = 'destroyed'
    ada!.attached_machine_id = null
    expect((await volumeOf('cy'))?.id).not.toBe(ada!.id)
    expect((await volumeOf('ada'))?.id).toBe(ada!.id)
  },
)

test(
  'each owner gets one machine, whatever the release had, unless its target sets a count',
  { timeout: 30_000 },
  async () => {
    await using gateway = await startMachines()
    const image = gateway.images.put('shared', 'v1').name
    await gateway.deploy('shared', { image }, { count: 2, 'force-over': '9' })
    const targets = [
      { owner: 'ada' },
      { owner: 'bob' },
      { owner: 'cy', count: 3 },
      { owner: 'di', ha: true },
    ]
    const source = { app: 'shared', release: 1 }
    const rollout = await rollOut(gateway, {
      source,
      targets: targets.map((target) => ({ app: 'shared', ...target })),
    })
    expect(rollout.counts).toEqual({ live: 4 })

    const owners = gateway.fly
      .machines('shared')
      .map(({ config }) => config.metadata?.['tarmac_owner'] ?? '')
    expect(owners.toSorted()).toEqual(['', '', 'ada', 'bob', 'cy', 'cy', 'cy', 'di', 'di'])
    const { deployments } = await gateway.store.list('shared', { limit: 9, before: null })
    expect(new Set(deployments.map(({ options }) => options['force-over']))).toEqual(
      new Set(['9', null]),
    )
  },
)

test(
  'one image reaches a hundred owners of an app, a few at a time, and one record sums up',
  { timeout: 60_000 },
  async () => {
    await using gateway = await startMachines({ deploys: 100 })
    const { fly, images, deploy } = gateway
    const [one, two] = [images.put('shared', 'v1'), images.put('shared', 'v2')]
    await deploy('shared', { image: one.name })
    // Fly creates one machine per second in an app. These exist already.
    const [model] = fly.machines('shared')
    const machines = fly.apps.get('shared')!.machines
    const owners = Array.from({ length: 100 }, (_, n) => `user-${n}`)
    for (const owner of owners) {
      const machine = structuredClone(model!)
      Object.assign(machine, {
        id: `m${owner}`.replace('-', ''),
        name: owner,
        instance_id: `v-${owner}`,
      })
      machine.config.metadata = {
        ...machine.config.metadata,
        tarmac_owner: owner,
        tarmac_number: '0',
      }
      machines.set(machine.id, machine)
    }
    const targets = owners.map((owner) => ({ app: 'shared', owner, env: { WHO: owner } }))
    const rollout = await rollOut(gateway, { source: { image: two.name }, targets, parallel: 100 })
    expect(rollout).toMatchObject({ counts: { live: 100 }, problem: null })
    expect(rollout.targets[7]).toMatchObject({
      owner: 'user-7',
      state: 'live',
      url: 'http://user-7.shared.internal:8080',
    })

    const deployed = Object.entries(ownersOf(gateway)).map(([owner, { config, image_ref }]) => [
      owner,
      config.env?.['WHO'] ?? '',
      image_ref?.digest,
    ])
    expect(deployed).toEqual([
      ['', '', one.digest],
      ...owners.map((owner) => [owner, owner, two.digest]),
    ])
    expect(fly.tooFast).toBe(0)
  },
)

test('a rollout stops at its failure limit; targets that had not begun are cancelled, with the reason', async () => {
  await using gateway = await startMachines({ deploys: 1 })
  const { fly, images } = gateway
  const image = images.put('web', 'v1')
  fly.natures.set(image.digest, 'cannot-start')
  const targets = ['a1', 'b2', 'c3', 'd4', 'e5'].map((app) => ({ app }))
  const rollout = await rollOut(gateway, {
    source: { image: image.name },
    targets,
    parallel: 1,
    maxFailures: 2,
  })
  expect(rollout).toMatchObject({
    counts: { deploy_failed: 2, cancelled: 3 },
    problem: {
      code: 'rollout-stopped',
      detail: expect.stringContaining('The rollout stopped because 2 of 5 targets failed'),
    },
  })
  expect(rollout.targets[1]).toMatchObject({ app: 'b2', problem: { code: 'deploy-failed' } })
  const stopped = { deployment: null, problem: { code: 'rollout-stopped' } }
  expect(rollout.targets[2]).toMatchObject(stopped)
  expect(fly.apps.has('c3')).toBe(false)

  // Queued targets are cancelled too. The next one may start before the rollout notices the
  // failure.
  const more = ['f6', 'g7', 'h8'].map((app) => ({ app }))
  const queued = await rollOut(gateway, {
    source: { image: image.name },
    targets: more,
    parallel: 3,
  })
  expect(queued.counts.cancelled).toBeGreaterThanOrEqual(1)
  expect(queued.targets[2]).toMatchObject({
    deployment: expect.any(String),
    problem: {
      code: 'cancelled',
      detail: expect.stringMatching(/^The rollout stopped because 1 of 3 targets failed/),
    },
  })

  // A target that cannot get a deployment counts as failed too.
  const refused = await rollOut(gateway, { source: { release: 1 }, targets, parallel: 1 })
  expect(refused).toMatchObject({ counts: { deploy_failed: 1, cancelled: 4 } })
  expect(refused.targets[0]).toMatchObject({
    deployment: null,
    problem: { code: 'release-not-found' },
  })
})

test('a cancelled rollout starts no more targets, stops the ones that it can, and appears in the list', async () => {
  await using gateway = await startMachines({ deploys: 1, watchMs: 1000 })
  const { images, call, get, rolledOut } = gateway
  const image = images.put('web', 'v1').name
  const targets = ['a1', 'b2', 'c3', 'd4'].map((app) => ({ app }))
  const { body: made } = await call<Rollout>('POST', '/v1/rollouts', {
    source: { image },
    targets,
    parallel: 2,
  })
  const touched = async () =>
    (await get<Rollout>(`/v1/rollouts/${made.id}`)).targets[0]!.state === 'verifying'
  while (!(await touched())) await new Promise((done) => setTimeout(done, 20))
  const stop = (query: string) => call<Rollout>('POST', `/v1/rollouts/${made.id}/cancel?${query}`)
  expect(await stop('by=ada&why=no')).toMatchObject({
    status: 202,
    body: { problem: { code: 'cancelled' } },
  })

  const rollout = await rolledOut(made.id)
  expect(rollout).toMatchObject({
    counts: { live: 1, cancelled: 3 },
    problem: { detail: 'Cancelled by ada: no.' },
  })
  expect(rollout.targets[1]).toMatchObject({ deployment: expect.any(String), state: 'cancelled' })
  expect(rollout.targets[3]).toMatchObject({ deployment: null, problem: { code: 'cancelled' } })
  expect(await stop('by=bob')).toMatchObject({
    status: 200,
    body: { problem: { detail: 'Cancelled by ada: no.' } },
  })

  const { body: again } = await call<Rollout>('POST', '/v1/rollouts', {
    source: { image },
    targets: [{ app: 'a1' }],
  })
  await rolledOut(again.id)
  const page = await get<RolloutPage>('/v1/rollouts?limit=1')
  expect(page).toMatchObject({
    rollouts: [{ id: again.id, targets: 1, problem: null }],
    next: again.id,
  })
  expect(await get(`/v1/rollouts?cursor=${page.next}`)).toMatchObject({
    rollouts: [{ id: made.id, targets: 4 }],
    next: null,
  })
  expect((await stop('whom=me')).status).toBe(422)
})

test('a rollout resumes after a gateway restart, and creates nothing twice', async () => {
  await using gateway = await startMachines({ watchMs: 300 })
  const { images, call, rolledOut, store, restart } = gateway
  const image = images.put('web', 'v1').name
  const targets = ['a1', 'b2', 'c3', 'd4'].map((app) => ({ app, count: 2, region: 'ams' }))
  const ask = () =>
    call<Rollout>(
      'POST',
      '/v1/rollouts',
      { source: { image }, targets, parallel: 2 },
      { 'idempotency-key': 'k' },
    )
  const { body } = await ask()
  for (let time = 0; time < 2; time++) {
    await new Promise((done) => setTimeout(done, 250))
    await restart()
  }
  const rollout = await rolledOut(body.id)
  expect(rollout.counts).toEqual({ live: 4 })

  for (const { app } of targets) {
    expect(gateway.fly.machines(app).map(({ region }) => region)).toEqual(['ams', 'ams'])
    expect((await store.list(app, { limit: 9, before: null })).deployments).toHaveLength(1)
  }
  expect((await ask()).body).toMatchObject({ id: body.id, counts: { live: 4 } })
})

test('an archive is built once, for the first target’s app; without its image no target begins', async () => {
  await using gateway = await startMachines()
  const { fly, images, store, rolledOut, form } = gateway
  const image = images.put('a1', 'v1')
  const facts = { reference: `${images.host}/a1@${image.digest}`, digest: image.digest, tags: [] }
  const targets = [{ app: 'a1', env: { WHO: 'a' } }, { app: 'b2' }]
  for (const good of [true, false]) {
    const { status, body } = await form<Rollout>('/v1/rollouts', {
      rollout: JSON.stringify({ targets }),
      'build.WORD': 'x',
      source: new Blob(['bytes']),
    })
    expect([status, body.counts]).toEqual([202, { waiting: 2 }])
    const build = await store.find(body.build!)
    expect(build).toMatchObject({ app: 'a1', options: { deploy: false, build: { WORD: 'x' } } })
    await gateway.build(body.build!, good ? facts : null)
    const rollout = await rolledOut(body.id)
    if (good) {
      expect(rollout).toMatchObject({ counts: { live: 2 } })
      expect(fly.machines('a1')[0]).toMatchObject({
        config: { env: { WHO: 'a' } },
        image_ref: { digest: image.digest },
      })
      expect(fly.machines('b2')[0]).toMatchObject({ image_ref: { digest: image.digest } })
    } else
      expect(rollout).toMatchObject({
        counts: { cancelled: 2 },
        problem: { detail: expect.stringContaining('npm') },
      })
  }
})

test('an invalid rollout is refused before anything begins', async () => {
  await using gateway = await startMachines()
  const image = gateway.images.put('web', 'v1').name
  const refused = async (body: object) => {
    const answer = await gateway.call<ProblemBody>('POST', '/v1/rollouts', body)
    return [answer.status, answer.body.detail]
  }
  const source = { image }
  expect(await refused({ source })).toEqual([400, expect.stringContaining('targets')])
  expect(await refused({ source, targets: [] })).toEqual([400, expect.stringContaining('targets')])
  expect(await refused({ source, targets: [{ app: 'Web!' }] })).toEqual([
    400,
    expect.stringContaining('targets: 0: app'),
  ])
  expect(await refused({ source, targets: [{ app: 'web', regoin: 'x' }] })).toEqual([
    422,
    expect.stringContaining('region'),
  ])
  expect(await refused({ source, targets: [{ app: 'web' }, { app: 'web' }] })).toEqual([
    422,
    expect.stringContaining('twice'),
  ])
  expect(await refused({ source, targets: [{ app: 'web' }], parallel: 0 })).toEqual([
    400,
    expect.stringContaining('parallel'),
  ])
  expect(await refused({ source: { image: `${image}-not` }, targets: [{ app: 'web' }] })).toEqual([
    410,
    expect.any(String),
  ])
  expect(await refused({ targets: [{ app: 'web' }] })).toEqual([
    400,
    expect.stringContaining('source'),
  ])
  expect((await gateway.call('GET', '/v1/rollouts/none')).status).toBe(404)
})
