import { expect, test as each } from 'vitest'
import type { NewEvent } from '../../../api/event.ts'
import { Problem } from '../../../api/problem.ts'
import { Deployer } from '../../../gateway/src/deploy/deployer.ts'
import type { DeployProgress } from '../../../gateway/src/deploy/progress.ts'
import { MachinesApi } from '#fly/machines-api.ts'
import { FakeFly, type Nature } from '../../fakes/machines-api.ts'
import { deployed, digest, refused, waitMs } from './deployed.ts'

/** Every test has its own Fly and mostly waits. */
const test = each.concurrent

test('the first deploy creates the app with a private address and one machine; the second updates that machine', async () => {
  await using fly = await FakeFly.start()
  await using api = new MachinesApi({ baseUrl: fly.url, token: 'secret' })
  const first = await deployed(fly, { number: 1, api })
  expect(first).toMatchObject({
    url: 'http://web.flycast',
    machines: [{ before: null, outcome: 'verified' }],
  })
  expect(fly.apps.get('web')?.ips).toEqual([{ ip: 'fdaa:0:1::2' }])
  expect(fly.machines('web')[0]?.config).toMatchObject({
    env: { PORT: '8080', FLY_PROCESS_GROUP: 'app' },
    guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 512 },
    metadata: { fly_platform_version: 'v2', fly_process_group: 'app', tarmac_number: '1' },
    services: [{ internal_port: 8080, autostop: true, checks: [{ type: 'tcp' }] }],
  })

  const second = await deployed(fly, { number: 2, api })
  expect(second.machines).toMatchObject([
    { id: first.machines[0]?.id, before: first.machines[0]?.after, outcome: 'verified' },
  ])
  expect(fly.machines('web')).toHaveLength(1)
  expect(fly.machines('web')[0]).toMatchObject({ lease: null, image_ref: { digest: digest(2) } })
  expect(fly.tooFast).toBe(0)
})

test('the record says how a machine was before, on the tried version and after, and what happened to it', async () => {
  await using fly = await FakeFly.start()
  const flyToml = `[http_service]\ninternal_port = 8080\n[[http_service.checks]]\npath = "/"`
  const first = await deployed(fly, { number: 1, flyToml, watchMs: 0 })
  const passing = {
    state: 'started',
    checks: [{ name: expect.stringMatching(/^servicecheck/), status: 'passing' }],
  }
  expect(first.machines).toMatchObject([
    { before: null, tried: { seen: passing }, after: { seen: passing } },
  ])
  expect(first.machines[0]?.events).toMatchObject([{ type: 'start', status: 'started' }])

  fly.natures.set(digest(2), 'check-fails')
  const redact = <T>(value: T) =>
    (typeof value === 'string' ? value.replaceAll(/\w+/g, 'x') : value) as T
  const failing = deployed(fly, { number: 2, flyToml, watchMs: 0, waitMs: 1000, redact })
  const { facts } = await refused(failing)
  expect(facts['machines']).toMatchObject([
    {
      outcome: 'rolled_back',
      before: { seen: passing },
      tried: { seen: { state: 'started', checks: [{ status: 'critical' }] } },
      after: { seen: passing },
    },
  ])
  // A check may print what the app holds.
  const [machine] = facts['machines'] as typeof first.machines
  expect(machine?.tried?.seen?.checks[0]?.output ?? 'x').toMatch(/^[x\W]*$/)
})

test('an app is created only for a valid plan, and quick deploys do not wait for Fly’s limits', async () => {
  await using fly = await FakeFly.start()
  await using api = new MachinesApi({ baseUrl: fly.url, token: 'secret' })
  const place = { org: 'personal', network: null, builder: null, urlTemplate: '' }
  const deployer = new Deployer({ fly: api, ...place, watchMs: 0, proxyMs: 0, waitMs })
  const signal = AbortSignal.timeout(20_000)
  const noPlan = Promise.reject(new Error('no plan'))
  noPlan.catch(() => {})
  await expect(deployer.ensureApp('web', noPlan, signal)).rejects.toThrow('no plan')
  expect(fly.apps.size).toBe(0)

  const startedAt = performance.now()
  const made = []
  for (let time = 0; time < 6; time++)
    made.push(await deployer.ensureApp('web', Promise.resolve(), signal))
  expect(made.map((app) => app?.name)).toEqual(['web', ...Array(5).fill(undefined)])
  expect(performance.now() - startedAt).toBeLessThan(1000)

  await deployer.ensureApp('guest', Promise.resolve(), signal, {
    app: 'guests',
    flycast: 'guests',
  })
  expect(fly.apps.get('guest')).toMatchObject({ network: 'guests', ips: [{ network: 'guests' }] })
})

test('an app is created on the chosen network with its Flycast address', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { network: 'apart', watchMs: 0 })
  expect(fly.apps.get('web')).toMatchObject({ network: 'apart', ips: [{ network: 'apart' }] })
})

test('a machine names the builder only if that builder’s machine pushed its image to the mirror', async () => {
  await using fly = await FakeFly.start()
  const builder = '0e286039f42e86'
  const through = (machine: string) => ({ via: 'mirror' as const, ms: 1, copyMs: 1, machine })
  const named: unknown[] = []
  const pushes = [
    through(builder),
    { via: 'registry' as const, ms: 1 },
    through(builder),
    through('an-earlier-one'),
    undefined,
  ]
  for (const [at, push] of pushes.entries()) {
    await deployed(fly, { number: at + 1, builder, push, watchMs: 0 })
    named.push(fly.machines('web')[0]?.config.metadata?.['fly_builder_id'])
  }
  await deployed(fly, { number: 6, builder: null, push: through(builder), watchMs: 0 })
  named.push(fly.machines('web')[0]?.config.metadata?.['fly_builder_id'])
  expect(named).toEqual([builder, undefined, builder, undefined, undefined, undefined])
})

test('a deploy keeps settings that Tarmac does not manage, and removes env that it set before and that is absent now', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, env: { OLD: '1', KEPT: '1' } })
  const config = fly.machines('web')[0]?.config ?? {}
  Object.assign(config, { schedule: 'daily', guest: { cpus: 8 } })
  Object.assign(config.env ?? {}, { FOREIGN: 'yes' })
  Object.assign(config.metadata ?? {}, { team: 'a', fly_builder_id: 'stale' })
  await deployed(fly, { number: 2, env: { KEPT: '2' } })
  const after = fly.machines('web')[0]?.config
  expect(after).toMatchObject({
    schedule: 'daily',
    guest: { cpus: 8 },
    metadata: { team: 'a', tarmac_number: '2' },
  })
  expect(after?.env).toEqual({ PORT: '8080', FLY_PROCESS_GROUP: 'app', KEPT: '2', FOREIGN: 'yes' })
  expect(after?.metadata).not.toHaveProperty('fly_builder_id')
})

const bad: { nature: Nature; says: string }[] = [
  {
    nature: 'check-fails',
    says: 'check servicecheck-00 is critical: connection refused)',
  },
  { nature: 'crashes', says: 'crashed: its process ended by itself with exit code 7' },
  { nature: 'crashes-later', says: 'crashed: its process ended by itself with exit code 7' },
  { nature: 'cannot-start', says: 'could not be started by Fly' },
  { nature: 'reverts', says: 'Fly gave up the update and went back without an error' },
]
for (const { nature, says } of bad) {
  test(
    `a release that ${nature} is rolled back, and every machine runs its previous config again`,
    { timeout: 20_000 },
    async () => {
      await using fly = await FakeFly.start()
      await deployed(fly, { number: 1 })
      const good = structuredClone(fly.machines('web')[0])
      fly.natures.set(digest(2), nature)
      const problem = await refused(deployed(fly, { number: 2, env: { NEW: '1' } }))
      expect(problem).toMatchObject({
        code: 'deploy-failed',
        facts: { machines: [{ outcome: 'rolled_back' }] },
      })
      expect(problem.message).toContain(says)
      expect(problem.message).toContain('1 machine is rolled back to the previous version')
      const now = fly.machines('web')[0]
      expect(now).toMatchObject({ state: 'started', lease: null, image_ref: good?.image_ref })
      const { metadata, ...config } = now?.config ?? {}
      expect({ ...config, metadata: { ...metadata, tarmac_number: '1' } }).toEqual(good?.config)
    },
  )
}

test('a first release that fails leaves no machine behind', async () => {
  await using fly = await FakeFly.start()
  fly.natures.set(digest(1), 'crashes')
  const problem = await refused(deployed(fly, { number: 1 }))
  expect(problem.message).toContain('1 new machine was removed')
  expect(fly.machines('web')).toHaveLength(0)
})

test(
  'when the second of several machines fails, the first is rolled back too',
  { timeout: 20_000 },
  async () => {
    await using fly = await FakeFly.start()
    const flyToml =
      '[processes]\na = "a"\nb = "b"\n[checks.up]\nport = 1\ntype = "tcp"\nprocesses = ["b"]'
    await deployed(fly, { number: 1, flyToml })
    fly.natures.set(digest(2), 'check-fails')
    const problem = await refused(deployed(fly, { number: 2, flyToml }))
    expect(problem.facts['machines']).toMatchObject([
      { outcome: 'rolled_back' },
      { outcome: 'rolled_back' },
    ])
    expect(fly.machines('web').map(({ image_ref }) => image_ref?.digest)).toEqual([
      digest(1),
      digest(1),
    ])
  },
)

test('a new process group gets a machine; a removed one loses its machine after the verdict', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: '[processes]\nweb = "w"\nold = "o"' })
  await deployed(fly, { number: 2, flyToml: '[processes]\nweb = "w"\nnew = "n"' })
  const groups = fly.machines('web').map(({ config }) => config.metadata?.['fly_process_group'])
  expect(new Set(groups)).toEqual(new Set(['new', 'web']))
})

test('one sleeping machine is started to test the release; the others are updated asleep', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1 })
  const [machine] = fly.machines('web')
  if (!machine) throw new Error('no machine')
  fly.apps.get('web')?.machines.set('zzz', {
    ...structuredClone(machine),
    id: 'zzz',
    name: 'other',
    state: 'stopped',
  })
  machine.state = 'stopped'
  await deployed(fly, { number: 2 })
  expect(fly.machines('web')).toMatchObject([
    { state: 'started', image_ref: { digest: digest(2) } },
    { state: 'stopped', image_ref: { digest: digest(2) } },
  ])
})

test(
  'a lost answer, or a 500 after the effect, causes no second machine and no second update',
  { timeout: 20_000 },
  async () => {
    await using fly = await FakeFly.start()
    fly.faults.push(
      { on: /POST .*machines$/, fault: 'lost' },
      { on: /POST .apps$/, fault: 'after' },
    )
    await deployed(fly, { number: 1 })
    fly.faults.push(
      { on: /POST .*machines\/\w+$/, fault: 'after' },
      { on: /POST .*lease$/, fault: 'before' },
    )
    await deployed(fly, { number: 2 })
    expect(fly.machines('web')).toHaveLength(1)
    expect(fly.machines('web')[0]).toMatchObject({ made: 2, image_ref: { digest: digest(2) } })
  },
)

test('an older deployment never lands over a newer one', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 5 })
  const problem = await refused(deployed(fly, { number: 4 }))
  expect(problem.code).toBe('superseded')
  expect(fly.machines('web')[0]).toMatchObject({ made: 1, image_ref: { digest: digest(5) } })
})

test(
  'a machine that somebody else changes midway is left alone and named, with advice',
  { timeout: 20_000 },
  async () => {
    await using fly = await FakeFly.start()
    await deployed(fly, { number: 1 })
    fly.natures.set(digest(2), 'check-fails')
    const running = refused(deployed(fly, { number: 2 }))
    await expect.poll(() => fly.machines('web')[0]?.image_ref?.digest).toBe(digest(2))

    const [machine] = fly.machines('web')
    Object.assign(machine ?? {}, { instance_id: '01FOREIGN' })
    Object.assign(machine?.config ?? {}, { metadata: { fly_platform_version: 'v2' } })
    const problem = await running
    expect(problem).toMatchObject({
      code: 'rollback-failed',
      facts: { machines: [{ outcome: 'stuck' }] },
    })
    expect(problem.message).toContain(`fly machine update ${machine?.id} --image`)
  },
)

test('a cancelled rollout restores what it touched; a stopping gateway leaves it for later', async () => {
  for (const code of ['cancelled', 'stopping'] as const) {
    await using fly = await FakeFly.start()
    await deployed(fly, { number: 1 })
    const stop = new AbortController()
    const emit = (event: NewEvent) => {
      if (event.type === 'machine' && event.status === 'checking')
        stop.abort(new Problem(code, 'stop'))
    }
    fly.natures.set(digest(2), 'check-fails')
    const problem = await refused(deployed(fly, { number: 2, signal: stop.signal, emit }))
    expect(problem.code).toBe(code)
    expect(fly.machines('web')[0]?.image_ref?.digest).toBe(digest(code === 'cancelled' ? 1 : 2))
  }
})

for (const nature of ['good', 'crashes'] as const) {
  test(
    `a gateway killed at any note of a rollout that ends ${nature} ends it correctly after its restart`,
    { timeout: 30_000 },
    async () => {
      const ways = [true, false].flatMap((update) =>
        [true, false].map((written) => ({ update, written })),
      )
      const cases = ways.flatMap((way) =>
        [1, 2, 3, 4, 5, 6].map((killAt) => killedAndBack(nature, killAt, way)),
      )
      const killed = (await Promise.all(cases)).filter(Boolean)
      expect(killed.length).toBeGreaterThanOrEqual(ways.length * 3)
    },
  )
}

/**
 * Kills the process at note `killAt`, before or after it is `written`. Returns true when that note
 * was reached.
 */
async function killedAndBack(
  nature: Nature,
  killAt: number,
  way: { update: boolean; written: boolean },
): Promise<boolean> {
  await using fly = await FakeFly.start()
  if (way.update) await deployed(fly, { number: 1 })
  fly.natures.set(digest(2), nature)
  let stored: DeployProgress | null = null
  let notes = 0
  const kept = async (rollout: DeployProgress) => {
    const dies = ++notes === killAt
    if (!dies || way.written) stored = rollout
    if (dies) throw new Error('killed')
  }
  const end = () => deployed(fly, { number: 2, rollout: stored, kept }).then(() => 'live', String)
  const first = await end()
  const killed = first === 'Error: killed'
  expect(killed ? await end() : first).toContain(
    nature === 'good' ? 'live' : 'crashed: its process ended',
  )
  const digests = fly.machines('web').map(({ image_ref }) => image_ref?.digest)
  expect(digests).toEqual(nature === 'good' ? [digest(2)] : way.update ? [digest(1)] : [])
  return killed
}

test('a state that the record does not know is overwritten only on request, by its number', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 5 })
  const known = async (id: string) => id !== 'd5'
  for (const over of [null, '4'])
    expect(
      await refused(deployed(fly, { number: 7, known, options: { 'force-over': over } })),
    ).toMatchObject({
      code: 'record-outdated',
      facts: { number: 5 },
    })
  await deployed(fly, { number: 7, known, options: { 'force-over': '5' } })
  expect(fly.machines('web')[0]).toMatchObject({ image_ref: { digest: digest(7) } })
})

test('an app name that belongs to somebody else on Fly is reported as taken', async () => {
  await using fly = await FakeFly.start()
  expect((await refused(deployed(fly, { number: 1, app: 'of-somebody-else' }))).code).toBe(
    'app-name-taken',
  )
})
