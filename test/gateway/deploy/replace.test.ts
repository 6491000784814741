import { expect, test as each, vi } from 'vitest'
import type { NewEvent } from '../../../api/event.ts'
import { Problem } from '../../../api/problem.ts'
import { forEachLimit } from '#api/flow/for-each-limit.ts'
import type { DeployProgress } from '../../../gateway/src/deploy/progress.ts'
import { FakeFly } from '../../fakes/machines-api.ts'
import { deployed, digest, refused, type Asked } from './deployed.ts'

// These tests mostly wait.
vi.setConfig({ maxConcurrency: 12, testTimeout: 120_000 })
const test = each.concurrent
const http = '[http_service]\ninternal_port = 8080\n[[http_service.checks]]\npath = "/"\n'
const mount = '[mounts]\nsource = "data"\ndestination = "/data"\n'
const worker = '[processes]\nwork = "w"\n'
const second: Asked = { number: 2, flyToml: http + mount, watchMs: 0 }

/** An app with machines that have no volume, and volumes that no machine holds. */
async function startWorld(flyToml = http, volumes = 1, asked: Asked = {}): Promise<FakeFly> {
  const fly = await FakeFly.start()
  await deployed(fly, { flyToml, watchMs: 0, ...asked })
  fly.apps.get('web')!.volumes = Array.from({ length: volumes }, (_, at) => ({
    id: `vol_${at}`,
    name: 'data',
    region: 'fra',
    state: 'created',
  }))
  fly.leaseSpeed = 10
  return fly
}

const holders = (fly: FakeFly) =>
  fly.apps.get('web')!.volumes.map(({ attached_machine_id: holder = null }) => holder)

test('[mounts] and a free volume: a new machine takes the place of the old one, with its settings', async () => {
  await using fly = await startWorld()
  const [old] = fly.machines('web')
  Object.assign(old!.config, { guest: { cpu_kind: 'performance', cpus: 4, memory_mb: 8192 } })
  Object.assign(old!.config.metadata!, { team: 'blue' })
  Object.assign(old!.config.env!, { BY_HAND: 'yes' })
  const notes: string[] = []
  const emit = (event: NewEvent) => void (event.type === 'note' && notes.push(event.text))
  const before = fly.calls.length

  const { machines } = await deployed(fly, { ...second, emit })
  const [fresh, ...others] = fly.machines('web')
  expect(others).toEqual([])
  expect(fresh).toMatchObject({
    region: 'fra',
    state: 'started',
    cordoned: false,
    image_ref: { digest: digest(2) },
    config: {
      guest: { cpu_kind: 'performance', cpus: 4, memory_mb: 8192 },
      metadata: { team: 'blue', fly_process_group: 'app', tarmac_deployment: 'd2' },
      env: { BY_HAND: 'yes' },
      mounts: [{ name: 'data', path: '/data', volume: 'vol_0' }],
    },
  })
  expect(holders(fly)).toEqual([fresh!.id])
  expect(notes).toEqual([
    `Machine ${old!.id} has no volume and cannot get one. A new machine with volume vol_0 (data) takes its place, with the same settings.`,
  ])
  expect(machines.map(({ id, outcome }) => [id, outcome])).toEqual([
    [fresh!.id, 'verified'],
    [old!.id, 'removed'],
  ])

  // The old machine serves until the new one is healthy, and is there until the watch is over.
  const changes = fly.calls
    .slice(before)
    .filter((call) => /POST .*(machines|don|stop)$|DEL.*\w{14}$/.test(call))
  const short = changes.map((call) =>
    call
      .replace(/\/apps\/web\//, '')
      .replace(old!.id, 'old')
      .replace(fresh!.id, 'new'),
  )
  expect(short).toEqual([
    'POST machines',
    'POST machines/new/uncordon',
    'POST machines/old/cordon',
    'POST machines/old/stop',
    'DELETE machines/old',
  ])

  // The next deploy updates the machine in place.
  await deployed(fly, { ...second, number: 3 })
  expect(fly.machines('web')).toMatchObject([{ id: fresh!.id, made: 2 }])
})

test('a worker is stopped before its successor starts, so that no work is done twice', async () => {
  await using fly = await startWorld(worker)
  const [old] = fly.machines('web')
  const running: number[] = []
  const emit = (event: NewEvent) => {
    if (event.type === 'machine' && event.status === 'creating')
      running.push(fly.machines('web').filter(({ state }) => state === 'started').length)
  }
  await deployed(fly, { ...second, flyToml: worker + mount, emit })
  expect(running).toEqual([0])
  expect(fly.machines('web').map(({ id }) => id)).not.toContain(old!.id)
  expect(holders(fly)).toEqual([fly.machines('web')[0]!.id])
})

test.for([
  ['http', http],
  ['worker', worker],
])(
  '%s: when the new machine is not healthy, the old one runs as before and the volume is free again',
  async ([, flyToml]) => {
    for (const strategy of ['rolling', 'immediate'] as const) {
      await using fly = await startWorld(flyToml)
      const [old] = fly.machines('web')
      const was = structuredClone(old!)
      fly.natures.set(digest(2), 'crashes')
      const asked = { ...second, flyToml: flyToml + mount, waitMs: 1000, options: { strategy } }
      const problem = await refused(deployed(fly, asked))
      expect(problem.code).toBe('deploy-failed')
      expect(problem.message).not.toContain('--force')
      const [machine, ...others] = fly.machines('web')
      expect(others).toEqual([])
      expect(machine).toMatchObject({ id: was.id, state: 'started', config: was.config, made: 1 })
      expect(machine!.cordoned ?? false).toBe(false)
      expect(holders(fly)).toEqual([null])
    }
  },
)

test('a stopped machine stays stopped, a cordoned one out of traffic, and a standby stands by for the new machine', async () => {
  await using fly = await startWorld(worker, 2, { options: { ha: true } })
  await deployed(fly, { ...second, flyToml: worker + mount })
  const [active, standby] = fly.machines('web')
  expect([active!.state, standby!.state, standby!.config.standbys]).toEqual([
    'started',
    'stopped',
    [active!.id],
  ])
  expect(standby!.config.env).toMatchObject({ FLY_STANDBY_FOR: active!.id })
  expect(new Set(holders(fly))).toEqual(new Set([active!.id, standby!.id]))

  await using two = await startWorld(http, 2, { options: { ha: true } })
  const [first, resting] = two.machines('web')
  first!.cordoned = true
  resting!.state = 'stopped'
  await deployed(two, second)
  expect(two.machines('web').map(({ state, cordoned }) => [state, cordoned])).toEqual(
    expect.arrayContaining([
      ['started', true],
      ['stopped', false],
    ]),
  )
})

test('only the machines without a volume are replaced, and a standby that has one follows', async () => {
  await using fly = await startWorld(worker, 2, { options: { ha: true } })
  const standby = fly.machines('web').find(({ config }) => config.standbys)!
  standby.config.mounts = [{ name: 'data', path: '/data', volume: 'vol_0' }]
  fly.apps.get('web')!.volumes[0]!.attached_machine_id = standby.id
  await deployed(fly, { ...second, flyToml: worker + mount })
  const active = fly.machines('web').find(({ id }) => id !== standby.id)!
  expect(holders(fly)).toEqual([standby.id, active.id])
  expect(standby).toMatchObject({
    made: 2,
    config: { standbys: [active.id], env: { FLY_STANDBY_FOR: active.id } },
  })
})

test('without enough free volumes nothing is touched, and the ways on are named; new-volumes makes them', async () => {
  await using fly = await startWorld(http, 1, { options: { ha: true } })
  fly.apps
    .get('web')!
    .volumes.push({ id: 'vol_far', name: 'data', region: 'iad', state: 'created' })
  const problem = await refused(deployed(fly, second))
  expect(problem.code).toBe('fly-config-invalid')
  expect(problem.message).toContain('fly volumes fork vol_far --region fra --app web')
  expect(problem.message).toContain('fly volumes create data --region fra --app web')
  expect(problem.message).toContain('new-volumes=true')
  // Both machines need one, and one is free.
  expect(problem.message).toMatch(/machine \w+ of group app has none/)
  fly.apps.get('web')!.volumes.shift()
  const both = (await refused(deployed(fly, second))).message
  expect(both).toMatch(/machines \w+, \w+ of group app have none \(2 in all\)/)
  expect(both).toContain('fly volumes create data --region fra --count 2 --app web')
  fly.apps.get('web')!.volumes.unshift({ id: 'vol_0', name: 'data', region: 'fra' })
  // The next deploy would refuse to leave the data of the other volume behind.
  expect(problem.message).not.toContain('destroy')
  expect(fly.machines('web').map(({ made }) => made)).toEqual([1, 1])

  await deployed(fly, { ...second, options: { 'new-volumes': true } })
  const ids = fly.machines('web').map(({ id }) => id)
  expect(holders(fly)).toEqual([expect.toBeOneOf(ids), null, expect.toBeOneOf(ids)])
})

test('where no volume is, one way on is to remove the machine, which holds none', async () => {
  await using fly = await startWorld(http, 0)
  const [old] = fly.machines('web')
  const problem = await refused(deployed(fly, second))
  expect(problem.message).toContain(`then fly machine destroy ${old!.id} --app web.`)
  fly.apps.get('web')!.machines.clear()
  await deployed(fly, second)
  expect(holders(fly)).toEqual([fly.machines('web')[0]!.id])
})

test('a machine that holds a volume, although its config does not say so, is never replaced', async () => {
  await using fly = await startWorld(http, 2)
  const [old] = fly.machines('web')
  fly.apps.get('web')!.volumes[1]!.attached_machine_id = old!.id
  const problem = await refused(deployed(fly, second))
  expect(problem.message).toContain(`it holds volume vol_1 (data), so it is not replaced`)
  expect(fly.machines('web')).toMatchObject([{ id: old!.id, made: 1 }])
})

test.for([
  ['good', http],
  ['check-fails', http],
  ['good', worker],
  ['crashes', worker],
] as const)(
  'a gateway killed anywhere in a replacement that is %s ends it correctly: %j',
  async ([nature, flyToml]) => {
    let kills = 0
    const whens = ['before', 'after'] as const
    await forEachLimit([...whens], 2, async (when) => {
      await forEachLimit([...Array(30).keys()], 8, async (at) => {
        await using fly = await startWorld(flyToml)
        const [old] = fly.machines('web')
        const was = structuredClone(old!)
        fly.natures.set(digest(2), nature)
        fly.killing = { token: 'secret-1', at: at + 1, when }
        const stage = { verifying: false }
        let stored: DeployProgress | null = null
        const kept = async (rollout: DeployProgress) => {
          if (fly.dead.has('secret-1')) throw new Error('killed')
          stored = rollout
        }
        // A crash comes 20 ms after the start.
        const watchMs = nature === 'crashes' ? 300 : 0
        const asked = { ...second, flyToml: flyToml + mount, stage, waitMs: 1500, watchMs }
        const code = (error: unknown) => (error instanceof Problem ? error.code : String(error))
        const live = () => 'live'
        let end = await deployed(fly, { ...asked, token: 'secret-1', kept }).then(live, code)
        if (fly.dead.has('secret-1')) {
          kills++
          end = await deployed(fly, { ...asked, token: 'secret-2', rollout: stored }).then(
            live,
            code,
          )
        }

        const where = `${nature} ${when} ${at}`
        const isGood = nature === 'good'
        expect(`${where}: ${end}`).toBe(`${where}: ${isGood ? 'live' : 'deploy-failed'}`)
        const machines = fly.machines('web')
        expect(machines.map(({ state, cordoned = false }) => [state, cordoned])).toEqual([
          ['started', false],
        ])
        expect(machines[0]!.id === was.id).toBe(!isGood)
        expect(holders(fly)).toEqual([isGood ? machines[0]!.id : null])
      })
    })
    // With a failing check the old machine is not touched, so there are only few calls.
    expect(kills).toBeGreaterThan(nature === 'check-fails' ? 3 : 12)
  },
)
