import { expect, test as each } from 'vitest'
import type { NewEvent } from '../../../api/event.ts'
import type { DeploymentOptions } from '../../../api/options.ts'
import type { DeployProgress } from '../../../gateway/src/deploy/progress.ts'
import { maxUnavailableCount } from '../../../gateway/src/deploy/strategies/rolling.ts'
import { FakeFly } from '../../fakes/machines-api.ts'
import { deployed, digest, refused } from './deployed.ts'

const test = each.concurrent
const http = '[http_service]\ninternal_port = 8080\n[[http_service.checks]]\npath = "/"\n'
const mounts = '[mounts]\nsource = "data"\ndestination = "/data"\ninitial_size = "3gb"\n'
const bluegreen: Partial<DeploymentOptions> = { strategy: 'bluegreen' }

test('the first of many machines is updated alone, then as many at once as may be unavailable', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
  const [model] = fly.machines('web')
  for (let at = 1; at < 9; at++)
    fly.apps
      .get('web')
      ?.machines.set(`m${at}`, { ...structuredClone(model!), id: `m${at}`, name: `more-${at}` })
  const under = new Set<string>()
  const most: number[] = []
  const emit = (event: NewEvent) => {
    if (event.type !== 'machine') return
    if (event.status === 'updating') most.push(under.add(event.machine).size)
    if (event.status === 'checking') under.delete(event.machine)
  }
  await deployed(fly, {
    number: 2,
    flyToml: `${http}[deploy]\nmax_unavailable = 3`,
    emit,
    watchMs: 0,
  })
  expect([most.length, most[1], Math.max(...most)]).toEqual([9, 1, 3])
  expect([0.33, 0.5, 1, 4, 100].map((share) => maxUnavailableCount(share, 20))).toEqual([
    7, 8, 1, 4, 8,
  ])
})

test('a restarted gateway continues under its own lease, without waiting for it to expire', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
  fly.natures.set(digest(2), 'check-fails')
  let stored: DeployProgress | null = null
  const kept = async (rollout: DeployProgress) => void (stored = rollout)
  const emit = (event: NewEvent) => {
    if (event.type === 'machine' && event.status === 'checking') fly.dead.add('secret-1')
  }
  await refused(
    deployed(fly, { number: 2, flyToml: http, token: 'secret-1', kept, emit, waitMs: 500 }),
  )
  expect(fly.machines('web')[0]?.lease?.endsAt).toBeGreaterThan(Date.now() + 5000)

  fly.natures.set(digest(2), 'good')
  for (const machine of fly.machines('web'))
    for (const check of machine.checks ?? []) check.status = 'passing'
  const back = performance.now()
  await deployed(fly, {
    number: 2,
    flyToml: http,
    rollout: { ...stored!, rollbackReason: null },
    watchMs: 0,
  })
  expect(performance.now() - back).toBeLessThan(4000)
  expect(fly.machines('web')).toMatchObject([{ lease: null, image_ref: { digest: digest(2) } }])
})

test(
  'the holder of a machine’s lease is named at once, and the deploy waits for it',
  {
    timeout: 20_000,
  },
  async () => {
    await using fly = await FakeFly.start()
    await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
    fly.machines('web')[0]!.lease = { nonce: 'of-another', endsAt: Date.now() + 4000 }
    const from = performance.now()
    const emitted: { text: string; ms: number }[] = []
    const emit = (event: NewEvent) => {
      if (event.type === 'note') emitted.push({ text: event.text, ms: performance.now() - from })
    }
    await deployed(fly, { number: 2, flyToml: http, emit, watchMs: 0 })
    expect(emitted).toEqual([
      { text: expect.stringMatching(/is held by u@tokens.fly.io until 2/), ms: expect.any(Number) },
    ])
    expect(emitted[0]?.ms).toBeLessThan(3000)
  },
)

test('a mount gets its volume created once, and the next deploy keeps it', async () => {
  await using fly = await FakeFly.start()
  fly.faults.push({ on: /POST .*volumes$/, fault: 'lost' })
  await deployed(fly, { number: 1, flyToml: http + mounts, watchMs: 0 })
  const [machine] = fly.machines('web')
  expect(fly.apps.get('web')?.volumes).toMatchObject([
    { name: 'data', region: 'fra', size_gb: 3, encrypted: true, attached_machine_id: machine?.id },
  ])

  const mount = machine?.config.mounts
  expect(mount).toMatchObject([
    { name: 'data', path: '/data', volume: fly.apps.get('web')?.volumes[0]?.id },
  ])

  await deployed(fly, { number: 2, flyToml: http + mounts, watchMs: 0 })
  expect(fly.machines('web')).toMatchObject([
    { id: machine?.id, made: 2, config: { mounts: mount } },
  ])
})

test('ha=true makes two machines in a group with a service, and one with a standby in another group', async () => {
  await using fly = await FakeFly.start()
  const flyToml = `[processes]\nweb = "w"\njob = "j"\n${http.replace('8080', '8080\nprocesses = ["web"]')}`
  for (const number of [1, 2]) {
    await deployed(fly, { number, flyToml, options: { ha: true }, watchMs: 0 })
    const machines = fly.machines('web')
    const of = (group: string) =>
      machines.filter(({ config }) => config.metadata?.['fly_process_group'] === group)
    expect(of('web')).toMatchObject([{ state: 'started' }, { state: 'started' }])
    const [active, standby] = of('job')
    expect([active?.state, standby?.state, standby?.config.standbys]).toEqual([
      'started',
      'stopped',
      [active?.id],
    ])
    expect(standby?.config.env).toMatchObject({ FLY_STANDBY_FOR: active?.id })
    expect(new Set(machines.map(({ image_ref }) => image_ref?.digest))).toEqual(
      new Set([digest(number)]),
    )
  }
})

test('count, region and ha change nothing in a group that has machines, and a warning says what to do', async () => {
  await using fly = await FakeFly.start()
  const warned = async (number: number, options: Partial<DeploymentOptions>) => {
    const warnings: string[] = []
    const emit = (event: NewEvent) => void (event.type === 'warning' && warnings.push(event.text))
    await deployed(fly, { number, flyToml: http, options, emit, watchMs: 0 })
    return warnings
  }
  expect(await warned(1, { count: 2, region: 'ams' })).toEqual([])
  expect(await warned(2, { count: 3, region: 'fra' })).toEqual([
    expect.stringMatching(
      /^Not done: count=3 and region=fra\. Group app has .* \(2 in ams\) .*: fly machine clone \w+ --region fra --app web; for one less: .*$/,
    ),
  ])
  expect(fly.machines('web').map(({ region }) => region)).toEqual(['ams', 'ams'])
  expect(await warned(3, { count: 2, region: 'ams', ha: true })).toEqual([])
})

test('bluegreen keeps the blue machines cordoned and stopped until the watch ends', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
  const [blue] = fly.machines('web')
  const emitted: string[] = []
  const emit = (event: NewEvent) => {
    if (event.type !== 'machine') return
    emitted.push(`${event.machine === blue?.id ? 'blue' : 'green'} ${event.status}`)
    if (event.status === 'verified')
      expect(blue).toMatchObject({ state: 'stopped', cordoned: true })
  }
  await deployed(fly, { number: 2, flyToml: http, options: bluegreen, emit })
  const [creating, ...rest] = ['creating', 'started', 'checking'].map((status) => `green ${status}`)
  expect(emitted).toEqual([
    creating,
    ...rest,
    'blue cordoned',
    'blue stopped',
    'green verified',
    'blue removed',
  ])
  expect(blue?.state).toBe('destroyed')
})

test('bluegreen is refused for machines that have volumes, run different images or do not belong to the platform', async () => {
  const ways: [string, (fly: FakeFly) => void][] = [
    [
      'has a volume',
      (fly) => Object.assign(fly.machines('web')[0]!.config, { mounts: [{ name: 'data' }] }),
    ],
    [
      'run different images',
      (fly) => Object.assign(fly.machines('web')[0]!.image_ref!, { digest: digest(9) }),
    ],
    [
      'is of a process group, but not',
      (fly) => delete fly.machines('web')[0]!.config.metadata!['fly_platform_version'],
    ],
  ]
  for (const [words, spoil] of ways) {
    await using fly = await FakeFly.start()
    await deployed(fly, { number: 1, flyToml: http, options: { ha: true }, watchMs: 0 })
    spoil(fly)
    const problem = await refused(deployed(fly, { number: 2, flyToml: http, options: bluegreen }))
    expect([problem.code, problem.message]).toEqual([
      'strategy-not-applicable',
      expect.stringContaining(words),
    ])
    expect(fly.machines('web').map(({ made }) => made)).toEqual([1, 1])
  }
})

test('a blue machine that could not be removed is a warning; the next deploy removes it', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
  const [blue] = fly.machines('web')
  const warnings: string[] = []
  const emit = (event: NewEvent) => {
    if (event.type === 'machine' && event.status === 'verified') blue!.undying = true
    if (event.type === 'warning') warnings.push(event.text)
  }
  await deployed(fly, { number: 2, flyToml: http, options: bluegreen, emit, watchMs: 0 })
  expect(warnings).toEqual([expect.stringContaining(`Machine ${blue?.id} is not needed any more`)])
  expect(fly.machines('web')).toHaveLength(2)

  blue!.undying = false
  await deployed(fly, { number: 3, flyToml: http, watchMs: 0 })
  expect(fly.machines('web')).toMatchObject([{ image_ref: { digest: digest(3) } }])
})

test('a failed rollback reports what is left and how to repair it', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
  const [blue] = fly.machines('web')
  fly.natures.set(digest(2), 'crashes-later')
  const emit = (event: NewEvent) => {
    if (event.type === 'machine' && event.status === 'stopped')
      fly.natures.set(digest(1), 'cannot-start')
  }
  const problem = await refused(
    deployed(fly, { number: 2, flyToml: http, options: bluegreen, emit, watchMs: 1500 }),
  )
  expect(problem).toMatchObject({
    code: 'rollback-failed',
    facts: { machines: [{ outcome: 'removed' }, { id: blue?.id, outcome: 'stuck' }] },
  })
  expect(problem.message).toContain(
    `fly machine uncordon ${blue?.id} --app web && fly machine start ${blue?.id}`,
  )
})

test('a machine that does not start at once during a rollback is started again', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
  fly.natures.set(digest(1), 'starts-later').set(digest(2), 'crashes')
  const problem = await refused(deployed(fly, { number: 2, flyToml: http }))
  expect(problem).toMatchObject({
    code: 'deploy-failed',
    facts: { machines: [{ outcome: 'rolled_back' }] },
  })
  expect(fly.machines('web')).toMatchObject([
    { state: 'started', image_ref: { digest: digest(1) } },
  ])
})

test('[deploy] wait_timeout limits how long a machine may take', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
  fly.natures.set(digest(2), 'check-fails')
  const flyToml = `${http}[deploy]\nwait_timeout = "1s"`
  const problem = await refused(deployed(fly, { number: 2, flyToml, waitMs: 60_000 }))
  expect(problem.message).toContain('did not pass its checks within 1 s')
})

test('a release command gets its own machine, which is stopped when its time is up', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: http, watchMs: 0 })
  fly.exitCode = null
  const deploy =
    'release_command = "migrate"\nrelease_command_timeout = "2s"\nrelease_command_vm = { memory = "1gb" }'
  const flyToml = `${http}[deploy]\n${deploy}\n[env]\nA = "1"`
  let seen: unknown
  const emit = (event: NewEvent) => {
    if (event.type === 'machine' && event.status === 'rolling_back')
      seen = fly.machines('web').find(({ id }) => id === event.machine)?.config
  }
  const problem = await refused(deployed(fly, { number: 2, flyToml, emit }))
  expect(problem.message).toContain('of the release_command did not end within 2 s')
  expect(seen).toMatchObject({
    init: { cmd: ['migrate'] },
    env: { A: '1', RELEASE_COMMAND: '1' },
    guest: { memory_mb: 1024 },
    metadata: { fly_process_group: 'fly_app_release_command' },
    auto_destroy: true,
  })
  expect(fly.machines('web')).toMatchObject([{ made: 1, image_ref: { digest: digest(1) } }])
})

test('machines name their image by tag and digest, and the log says what happened to each', async () => {
  await using fly = await FakeFly.start()
  const said = async (number: number, options: Partial<DeploymentOptions> = {}) => {
    const lines: string[] = []
    const emit = (event: NewEvent) => {
      if (event.type === 'machine' && /on version/.test(event.text ?? ''))
        lines.push(`${event.status}, ${event.text}`.replace(/01[0-9A-F]{24}/, 'V'))
    }
    await deployed(fly, { number, flyToml: '[processes]\njob = "j"\n', options, emit, watchMs: 0 })
    return lines
  }
  expect(await said(1, { ha: true })).toEqual([
    'started, on version V',
    'created, on version V, and not started',
  ])
  expect(fly.machines('web').map(({ config }) => config.image)).toEqual(
    Array.from({ length: 2 }, () => `registry.fly.io/web:deployment-d1@${digest(1)}`),
  )

  expect(await said(2)).toEqual([
    'started, on version V',
    'updated, on version V, and not started: it is stopped',
  ])
  expect(fly.machines('web').map(({ image_ref }) => image_ref)).toMatchObject(
    Array.from({ length: 2 }, () => ({ tag: 'deployment-d2', digest: digest(2) })),
  )
})
