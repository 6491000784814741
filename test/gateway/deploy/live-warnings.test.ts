import { expect, test as each } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import type { MachineEvent } from '#fly/machine.ts'
import { FakeFly } from '../../fakes/machines-api.ts'
import { deployed, digest, refused, type Asked } from './deployed.ts'

const test = each.concurrent
const unchecked = '[http_service]\ninternal_port = 8080\n'
const worker = '[processes]\nworker = "w"\n'

/** Deploys, and returns the warnings of the log and of the machines too. */
async function live(fly: FakeFly, asked: Asked) {
  const log: string[] = []
  const emit = (event: NewEvent) => void (event.type === 'warning' && log.push(event.text))
  const end = await deployed(fly, { watchMs: 100, emit, ...asked })
  const warnings = end.machines.flatMap(({ warning }) => warning ?? [])
  return { ...end, log, warnings }
}

/** Lets the machine go down: by itself with this exit code, or stopped by somebody. */
function goDown(fly: FakeFly, exitCode: number | 'asked', oomKilled = false): void {
  const [machine] = fly.machines('web')
  if (!machine) throw new Error('no machine')
  const event = (type: string, exit_event: object): MachineEvent => ({
    type,
    status: 'stopped',
    timestamp: Date.now(),
    request: { exit_event },
  })
  const asked = exitCode === 'asked'
  machine.state = 'stopped'
  machine.events = [
    event('exit', {
      exit_code: asked ? 0 : exitCode,
      requested_stop: asked,
      oom_killed: oomKilled,
    }),
    ...(asked ? [{ type: 'stop', status: 'stopping', timestamp: Date.now() - 1 }] : []),
    ...(machine.events ?? []),
  ]
}

test('a port without a check on which nothing listens is a warning of the live deployment', async () => {
  await using fly = await FakeFly.start()
  fly.processes = [{ command: 'node app.js', listen_sockets: [{ address: '0.0.0.0:3000' }] }]
  const { warnings, log, machines } = await live(fly, { flyToml: unchecked })
  const text =
    'Users cannot reach it: no program listens on 0.0.0.0:8080. What listens instead: node app.js on 0.0.0.0:3000. The app must listen on 0.0.0.0:8080.'
  expect(warnings).toEqual([text])
  expect(log).toEqual([`Machine ${machines[0]?.id}: ${text}`])
})

test('while a port is silent, the log says what listens instead and how much time is left', async () => {
  await using fly = await FakeFly.start()
  fly.processes = [{ command: 'node app.js', listen_sockets: [{ address: '0.0.0.0:3000' }] }]
  const texts: string[] = []
  const emit = (event: NewEvent) => void (event.type === 'machine' && texts.push(event.text ?? ''))
  await deployed(fly, { flyToml: unchecked, watchMs: 100, listenMs: 1500, reportMs: 200, emit })
  expect(texts.join('\n')).toMatch(
    /Users cannot reach it: no program listens on 0\.0\.0\.0:8080\. What listens instead: node app\.js on 0\.0\.0\.0:3000\. .*; [12] s left/,
  )
})

test('an app that listens late is waited for', async () => {
  await using fly = await FakeFly.start()
  fly.processes = [{ command: 'java', listen_sockets: [{ address: '127.0.0.1:9000' }] }]
  setTimeout(() => (fly.processes = null), 1000)
  const { warnings } = await live(fly, { flyToml: unchecked, listenMs: 5000 })
  expect(warnings).toEqual([])
})

test('an app that crashes while the deploy waits for its port is not live', async () => {
  await using fly = await FakeFly.start()
  fly.processes = [{ command: 'java', listen_sockets: [{ address: '127.0.0.1:9000' }] }]
  const deploy = refused(live(fly, { flyToml: unchecked, listenMs: 20_000 }))
  await expect
    .poll(() => fly.calls.some((call) => call.endsWith('/ps')), { timeout: 10_000 })
    .toBe(true)
  goDown(fly, 3)
  expect((await deploy).message).toContain('crashed: its process ended by itself with exit code 3')
})

test('when Fly’s ps fails or shows no socket, the deployment says that reachability is not known', async () => {
  await using fly = await FakeFly.start()
  fly.faults.push({ on: /\/ps$/, fault: 'unseen' })
  const failed = await live(fly, { flyToml: unchecked })
  expect(failed.warnings).toEqual([
    expect.stringMatching(/^It is not known whether users reach port 8080: Fly did not say .*404/),
  ])

  fly.processes = [{ command: 'node app.js', listen_sockets: [] }]
  const empty = await live(fly, { number: 2, flyToml: unchecked })
  expect(empty.warnings).toEqual([
    'It is not known whether users reach port 8080: Fly shows no program that listens. The app must listen on 0.0.0.0:8080.',
  ])
})

test('a port that a passing check connects to is not asked for', async () => {
  await using fly = await FakeFly.start()
  const flyToml = `${unchecked}[[http_service.checks]]\npath = "/"\n`
  const { warnings } = await live(fly, { flyToml })
  expect(warnings).toEqual([])
  expect(fly.calls.filter((call) => call.endsWith('/ps'))).toEqual([])
})

test('a group whose machines are all cordoned is a warning: users do not reach the new version', async () => {
  await using fly = await FakeFly.start()
  const flyToml = `${unchecked}[[http_service.checks]]\npath = "/"\n`
  const first = await live(fly, { flyToml, options: { count: 2 } })
  expect(first.warnings).toEqual([])

  const [one, other] = fly.machines('web')
  if (!one || !other) throw new Error('no machines')
  one.cordoned = true
  const half = await live(fly, { number: 2, flyToml })
  expect(half.warnings).toEqual([])

  other.cordoned = true
  const { warnings } = await live(fly, { number: 3, flyToml })
  const text = (id: string) =>
    `Users cannot reach it: the machine was cordoned before the deploy, so Fly’s proxy sends it no requests. To undo it: fly machine uncordon ${id} --app web.`
  expect(warnings.toSorted()).toEqual([one.id, other.id].map(text).toSorted())
})

test('a job that ends with exit code 0 is live, also before the watch, and runs again at the next deploy', async () => {
  await using fly = await FakeFly.start()
  fly.natures.set(digest(1), 'finishes')
  fly.natures.set(digest(2), 'finishes')
  for (const number of [1, 2]) {
    const { warnings, url } = await live(fly, { number, flyToml: worker })
    expect([warnings, url]).toEqual([[], null])
  }
  const [machine] = fly.machines('web')
  expect(machine).toMatchObject({ state: 'stopped', image_ref: { digest: digest(2) } })
  expect(machine?.events?.filter(({ type }) => type === 'exit')).toHaveLength(1)
  expect(fly.calls.filter((call) => call.endsWith('/stop'))).toEqual([])
})

test.each([
  ['a service', unchecked],
  ['a check', `${worker}[checks.up]\ntype = "tcp"\nport = 1\n`],
  ['restart policy always', `${worker}[[restart]]\npolicy = "always"\n`],
])('a program that ends with exit code 0 in a group with %s has crashed', async (_, flyToml) => {
  await using fly = await FakeFly.start()
  fly.natures.set(digest(1), 'finishes')
  const problem = await refused(live(fly, { flyToml, waitMs: 1000 }))
  expect(problem.message).toContain('crashed: its process ended by itself with exit code 0')
})

test.each([
  ['a crash', 3, false],
  ['an OOM kill', -1, true],
])('a worker that went down by %s runs after the deploy', async (_, exitCode, oomKilled) => {
  await using fly = await FakeFly.start()
  await live(fly, { flyToml: worker })
  goDown(fly, exitCode, oomKilled)
  const { warnings } = await live(fly, { number: 2, flyToml: worker })
  expect(fly.machines('web')).toMatchObject([
    { state: 'started', image_ref: { digest: digest(2) } },
  ])
  expect(warnings).toEqual([])
})

test('every machine that crashed runs after the deploy, though others of its group run', async () => {
  await using fly = await FakeFly.start()
  await live(fly, { flyToml: unchecked, options: { count: 2 } })
  goDown(fly, 1)
  await live(fly, { number: 2, flyToml: unchecked })
  expect(fly.machines('web').map(({ state }) => state)).toEqual(['started', 'started'])
})

test('a worker that was stopped on purpose is tested and stopped again, and the deployment warns', async () => {
  await using fly = await FakeFly.start()
  await live(fly, { flyToml: worker })
  goDown(fly, 'asked')
  const { warnings, machines } = await live(fly, { number: 2, flyToml: worker })
  const [machine] = fly.machines('web')
  expect(machine?.state).toBe('stopped')
  expect(warnings).toEqual([
    `No machine of group worker runs: it was stopped before the deploy, and is stopped again after its test. To start it: fly machine start ${machines[0]?.id} --app web.`,
  ])
})

test('auto_stop_machines = "off" is no autostop: a stopped group warns; with "stop" it does not', async () => {
  await using fly = await FakeFly.start()
  for (const [number, autostop] of [[2, 'off'] as const, [4, 'stop'] as const]) {
    const flyToml = `${unchecked}auto_stop_machines = "${autostop}"\n`
    await live(fly, { number: number - 1, flyToml })
    goDown(fly, 'asked')
    const { warnings } = await live(fly, { number, flyToml })
    expect(warnings).toHaveLength(autostop === 'off' ? 1 : 0)
  }
})

test('a standby whose group gets a service is a standby no longer', async () => {
  await using fly = await FakeFly.start()
  await live(fly, { flyToml: '[processes]\napp = "w"\n', options: { ha: true } })
  const standby = () => fly.machines('web').map(({ config }) => config.standbys ?? [])
  expect(standby().flat()).toHaveLength(1)

  await live(fly, { number: 2, flyToml: unchecked })
  expect(standby().flat()).toEqual([])
  for (const { config } of fly.machines('web')) {
    expect(config).not.toHaveProperty('standbys')
    expect(config.env).not.toHaveProperty('FLY_STANDBY_FOR')
  }
})

test('an app without a service has no URL, and one with a service has', async () => {
  await using fly = await FakeFly.start()
  expect((await live(fly, { app: 'quiet', flyToml: worker })).url).toBe(null)
  const options = { owner: 'alice' }
  expect((await live(fly, { app: 'quiet', number: 2, flyToml: worker, options })).url).toBe(null)
  expect((await live(fly, { app: 'web', flyToml: unchecked })).url).toBe('http://web.flycast')
})
