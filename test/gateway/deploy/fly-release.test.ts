import { afterEach, beforeEach, expect, test } from 'vitest'
import type { NewEvent } from '../../../api/event.ts'
import { Problem } from '../../../api/problem.ts'
import type { DeployProgress } from '../../../gateway/src/deploy/progress.ts'
import { FakeFly } from '../../fakes/machines-api.ts'
import { deployed, digest, refused, type Asked } from './deployed.ts'

let fly: FakeFly
let events: NewEvent[]
const waitMs = 1000

beforeEach(async () => {
  fly = await FakeFly.start()
  events = []
})
afterEach(() => fly[Symbol.asyncDispose]())

const deploy = (number: number, more: Asked = {}) =>
  deployed(fly, {
    number,
    watchMs: 0,
    releaseWaitMs: waitMs,
    emit: (event) => void events.push(event),
    ...more,
  })
const textsOf = (type: 'note' | 'warning') =>
  events.flatMap((event) => (event.type === type ? [event.text] : []))
const warnings = () => textsOf('warning').filter((text) => text.includes('Fly has'))
const marksOf = () =>
  fly.machines('web').map(({ config: { metadata = {} } }) => metadata['fly_release_version'])
const statuses = () => fly.releases.of('web').map(({ status }) => status)

const toml = `
app = "other"
[env]
WORD = "file"
[processes]
web = "serve"
worker = "work"
[http_service]
internal_port = 8080
processes = ["web"]
[[vm]]
memory = "1gb"
processes = ["worker"]
`

test('a deploy is registered with its config, and its machines carry the marks without a new version', async () => {
  const { machines } = await deploy(1, { flyToml: toml, env: { MORE: 'asked' } })
  const [release] = fly.releases.of('web')
  expect(release).toMatchObject({
    version: 1,
    strategy: 'ROLLING',
    image_ref: `registry.fly.io/web@${digest(1)}`,
    statuses: ['running', 'complete'],
    definition: {
      app: 'web',
      primary_region: 'fra',
      env: { WORD: 'file', MORE: 'asked', PORT: '8080' },
      processes: { web: 'serve', worker: 'work' },
      vm: [
        { memory: '1gb', processes: ['worker'] },
        { cpu_kind: 'shared', cpus: 1, memory_mb: 512, processes: ['web'] },
      ],
    },
  })
  expect(marksOf()).toEqual(['1', '1'])
  for (const { id, after } of machines)
    expect(fly.machines('web').find((machine) => machine.id === id)).toMatchObject({
      instance_id: after!.instanceId,
      made: 1,
      config: { metadata: { fly_release_id: release!.id } },
    })
  expect(textsOf('note')).toContain('Fly knows this deployment as release v1.')
  expect(warnings()).toEqual([])
  expect(fly.tooFast).toBe(0)
})

test('the hardware that a machine has is part of the release', async () => {
  await deploy(1)
  const [machine] = fly.machines('web')
  machine!.config.guest = { cpu_kind: 'shared', cpus: 2, memory_mb: 2048 }
  await deploy(2)
  expect(fly.releases.of('web')[1]?.definition?.['vm']).toEqual([
    { cpu_kind: 'shared', cpus: 2, memory_mb: 2048, processes: ['app'] },
  ])
  expect(marksOf()).toEqual(['2'])
})

test('a deploy does not wait for Fly; the marks and the status follow within the time limit', async () => {
  await using opening = new AsyncDisposableStack()
  const later: string[] = []
  const more = { opening, warnLater: (text: string) => void later.push(text) }
  fly.releases.delayMs = 800
  const started = performance.now()
  await deploy(1, more)
  expect(performance.now() - started).toBeLessThan(800)
  expect(marksOf()).toEqual([undefined])
  expect(warnings()).toHaveLength(1)
  expect(warnings()[0]).toMatch(/^Fly has not answered yet .* waits for at most 1 s more/)

  await expect.poll(statuses).toEqual(['complete'])
  expect(marksOf()).toEqual(['1'])
  expect(later).toEqual([])

  fly.releases.delayMs = 3000
  await deploy(2, more)
  await expect.poll(() => later, { timeout: 3000 }).toHaveLength(1)
  expect(later[0]).toMatch(/^web, deployment d2: Fly has not registered a release within 1 s after/)
  expect(marksOf()).toEqual([undefined])

  await deploy(3, more)
  await opening.disposeAsync()
  expect(later[1]).toMatch(/^web, deployment d3: The gateway ends before Fly has answered/)
})

test('when the token may not, earlier marks go, and one warning says what flyctl will not show', async () => {
  await deploy(1)
  expect(marksOf()).toEqual(['1'])
  fly.releases.meets = 'refusal'
  await deploy(2)
  expect(marksOf()).toEqual([undefined])
  expect(fly.machines('web')[0]?.config.metadata).not.toHaveProperty('fly_release_id')
  expect(warnings()).toEqual([
    "Fly has not registered a release for this deployment. Fly refused the gateway's token (POST /api/v1/releases: unauthorized). Give the gateway a token with this right. The deployment does not need it, but flyctl does not know this version: fly releases, fly status and fly config show have the release before; fly scale count starts that one for a group without machines; fly secrets list calls secrets staged that run.",
  ])
})

test('after a failed deploy, the release that runs again is the newest one for flyctl too', async () => {
  await deploy(1, { flyToml: toml, env: { MORE: 'asked' } })
  fly.natures.set(digest(2), 'crashes')
  await refused(deploy(2, { flyToml: toml.replace('serve', 'fail'), waitMs: 300 }))
  const [first, failed, again] = fly.releases.of('web')
  expect(failed).toMatchObject({ status: 'failed', definition: { processes: { web: 'fail' } } })
  const { definition, image_ref } = first!
  expect(again).toMatchObject({ status: 'complete', definition, image_ref })
  expect(textsOf('note').at(-1)).toBe(
    "Release v1 runs again. Fly's newest release is v3, which is the same.",
  )
})

test('a failed deploy is a failed release, and the machines have their earlier marks again', async () => {
  await deploy(1)
  fly.natures.set(digest(2), 'check-fails')
  const { message } = await refused(deploy(2, { waitMs: 300 }))
  expect(statuses()).toEqual(['complete', 'failed', 'complete'])
  expect(fly.releases.of('web')[1]?.error).toBe(message)
  expect(marksOf()).toEqual(['1'])
})

test('a cancelled deploy is an interrupted release', async () => {
  await deploy(1)
  fly.natures.set(digest(2), 'check-fails')
  const cancel = new AbortController()
  setTimeout(() => cancel.abort(new Problem('cancelled', 'ada')), 400)
  await refused(deploy(2, { signal: cancel.signal }))
  expect(statuses()).toEqual(['complete', 'interrupted', 'complete'])
})

test('a lost answer makes no second release, and a release of flyctl is not taken for the own one', async () => {
  fly.releases.add('web', 'registry.fly.io/web:deployment-1', { status: 'running' })
  fly.releases.meets = 'lost'
  await deploy(1, { watchMs: 2500 })
  expect(statuses()).toEqual(['running', 'complete'])
  expect(marksOf()).toEqual(['2'])
})

test('a gateway that dies at any moment resumes the deploy and registers it once', async () => {
  const saved: DeployProgress[] = []
  await deploy(1, { kept: async (rollout) => void saved.push(structuredClone(rollout)) })
  const asked = saved.find(({ flyRelease }) => flyRelease?.made === null)!
  const made = saved.findLast(({ live, flyRelease }) => !live && flyRelease?.made)!
  expect(asked.flyRelease).toEqual({ after: 0, made: null })

  // As Fly has it when the gateway dies in between.
  const [release] = fly.releases.of('web')
  for (const rollout of [asked, made]) {
    release!.status = 'pending'
    for (const { config } of fly.machines('web')) {
      delete config.metadata!['fly_release_id']
      delete config.metadata!['fly_release_version']
    }
    await deploy(1, { rollout: structuredClone(rollout) })
    expect(statuses()).toEqual(['complete'])
    expect(marksOf()).toEqual(['1'])
  }

  // It died before the request went out.
  fly.releases.all.length = 0
  await deploy(1, { rollout: structuredClone(asked) })
  expect(statuses()).toEqual(['complete'])
})

test('a deploy that touched no machine registers nothing', async () => {
  const gone = new AbortController()
  gone.abort(new Problem('superseded', 'a newer one'))
  await refused(deploy(1, { signal: gone.signal }))
  expect(fly.releases.all).toEqual([])
})

test('deploys of owners are not registered, and their machines keep no untrue mark', async () => {
  await deploy(1, { options: { owner: 'ada' } })
  const [machine] = fly.machines('web')
  Object.assign(machine!.config.metadata!, { fly_release_id: 'old', fly_release_version: '7' })
  await deploy(2, { options: { owner: 'ada' } })
  expect(fly.releases.all).toEqual([])
  expect(marksOf()).toEqual([undefined])
})

test('a status that Fly refuses is a warning', async () => {
  fly.releases.refusesStatus = true
  await deploy(1)
  expect(textsOf('warning')).toContain(
    "Fly's release v1 is not marked complete. Fly refused (PATCH /api/v1/releases/" +
      `${fly.releases.all[0]!.id}: 422 not now). fly releases shows it as running.`,
  )
})
