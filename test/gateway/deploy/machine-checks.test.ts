import { expect, test as each, vi } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { DeploymentOptions } from '#api/options.ts'
import { desiredApp } from '../../../gateway/src/deploy/config/desired.ts'
import { forEachLimit } from '#api/flow/for-each-limit.ts'
import { refuseForeignImages } from '../../../gateway/src/deploy/preflight/foreign-images.ts'
import type { DeployProgress } from '../../../gateway/src/deploy/progress.ts'
import type { MachineConfig } from '#fly/machine.ts'
import { FakeFly } from '../../fakes/machines-api.ts'
import { deployed, digest, refused, type Asked } from './deployed.ts'

// These tests mostly wait, because Fly limits how often an app's machines are listed.
vi.setConfig({ testTimeout: 60_000 })
const test = each.concurrent
const http = '[http_service]\ninternal_port = 8080\n[[http_service.checks]]\npath = "/"\n'
const check = '[[http_service.machine_checks]]\ncommand = ["node", "--version"]\n'
const flyToml = `${http}${check}`

/** Deploys, and returns the log and the config of each machine that was made, by its role. */
async function run(fly: FakeFly, asked: Asked) {
  const log: NewEvent[] = []
  const made = new Map<string, MachineConfig & { cordoned?: boolean }>()
  const emit = (event: NewEvent) => {
    log.push(event)
    for (const { name, config, cordoned = false } of fly.machines('web'))
      made.set(name, { ...config, cordoned })
  }
  const kept = async () => {
    for (const { name, config, cordoned = false } of fly.machines('web'))
      made.set(name, { ...config, cordoned })
  }
  const end = deployed(fly, { flyToml, watchMs: 50, emit, kept, ...asked })
  return { end, log, made }
}

test('a machine check runs on a throwaway machine against another with the release, before any machine is touched', async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { flyToml: http, watchMs: 0 })
  const [kept] = fly.machines('web')
  const env = { A: 'of the option' }
  const withEnv = `${flyToml}[env]\nA = "of the file"\nB = "2"\n`
  const { end, log, made } = await run(fly, { number: 2, env, flyToml: withEnv })
  await end

  expect(made.get('app-tested-d2')).toMatchObject({
    image: expect.stringContaining(digest(2)),
    cordoned: true,
    dns: { skip_registration: true },
    metadata: { fly_canary: 'true' },
    services: [{ internal_port: 8080 }],
  })
  expect(made.get('app-check-1-d2')).toMatchObject({
    image: expect.stringContaining(digest(2)),
    init: { cmd: ['node', '--version'] },
    env: {
      A: 'of the option',
      B: '2',
      PORT: '8080',
      FLY_TEST_COMMAND: '1',
      FLY_PROCESS_GROUP: 'fly_app_test_machine_command',
      FLY_TEST_MACHINE_IP: 'fdaa:0:1::4',
    },
    restart: { policy: 'no' },
    auto_destroy: true,
    metadata: { fly_process_group: 'fly_app_test_machine_command' },
  })
  expect(made.get('app-check-1-d2')).not.toHaveProperty('services')

  const lines = log.map((event) =>
    event.type === 'machine' ? `${event.machine} ${event.status}` : event.type,
  )
  expect(lines.indexOf(`${kept?.id} updating`)).toBeGreaterThan(
    log.findLastIndex(({ type }) => type === 'note'),
  )
  expect(log).toContainEqual({
    type: 'log',
    step: 'machine_check app 1',
    stream: 'stdout',
    text: 'said by app-check-1-d2',
  })
  expect(fly.machines('web')).toMatchObject([{ id: kept?.id, image_ref: { digest: digest(2) } }])
})

test.each(['a first deploy', 'a later deploy'])(
  'a machine check that fails ends %s with its own last lines, and touches no machine',
  async (which) => {
    await using fly = await FakeFly.start()
    const isLater = which === 'a later deploy'
    if (isLater) await deployed(fly, { flyToml: http, watchMs: 0 })
    fly.exitCode = 3
    const { end } = await run(fly, { number: 2 })
    const problem = await refused(end)
    expect(problem.message).toMatch(
      /^The machine check \(node --version\) ended by itself with exit code 3, before any machine of the app was touched\. /,
    )
    expect(problem.facts).toMatchObject({
      exitCode: 3,
      lastLines: ['said by app-check-1-d2'],
      logCommand: expect.stringMatching(/^fly logs --app web --machine \w+$/),
      machines: [],
    })
    expect(fly.machines('web')).toMatchObject(
      isLater ? [{ made: 1, image_ref: { digest: digest(1) } }] : [],
    )
  },
)

test('a check that does not end fails after wait_timeout', async () => {
  await using fly = await FakeFly.start()
  fly.exitCode = null
  const { end } = await run(fly, { waitMs: 1000 })
  expect((await refused(end)).message).toContain('of the machine check did not end within 1 s')
  expect(fly.machines('web')).toEqual([])
})

test('a release that crashes before its checks end fails the deploy, and touches no machine', async () => {
  await using fly = await FakeFly.start()
  fly.natures.set(digest(1), 'crashes')
  const { end, made } = await run(fly, {})
  expect((await refused(end)).message).toMatch(
    /crashed: its process ended by itself with exit code 7.*, before any machine of the app was touched\./,
  )
  expect([...made.keys()].filter((name) => !/^app-(tested|check)/.test(name))).toEqual([])
  expect(fly.machines('web')).toEqual([])
})

test('a group with a volume is checked without a machine to test, and the log says so', async () => {
  await using fly = await FakeFly.start()
  const mounted = `${flyToml}[mounts]\nsource = "data"\ndestination = "/data"\n`
  const { end, log, made } = await run(fly, { flyToml: mounted })
  await end
  expect(made.get('app-check-1-d1')?.env).toMatchObject({ FLY_TEST_MACHINE_IP: '' })
  expect(made.get('app-check-1-d1')).not.toHaveProperty('mounts')
  expect(made.has('app-tested-d1')).toBe(false)
  expect(log).toContainEqual({
    type: 'warning',
    text: 'Group app has a volume, so its machine checks run without a machine to test: FLY_TEST_MACHINE_IP is empty.',
  })
})

test('several checks, with images of their own, run for the groups that they name', async () => {
  await using fly = await FakeFly.start()
  const groups = `kill_signal = "SIGQUIT"
[processes]
web = "serve"
worker = "work"
[http_service]
internal_port = 8080
processes = ["web"]
[[http_service.machine_checks]]
image = "curlimages/curl"
entrypoint = ["/bin/sh", "-c"]
command = ["curl http://[$FLY_TEST_MACHINE_IP]:8080"]
kill_timeout = "5s"
[[machine_checks]]
command = ["true"]
`
  const push = { via: 'mirror' as const, ms: 1, machine: 'm1' }
  const { end, made } = await run(fly, { flyToml: groups, builder: 'm1', push })
  await end
  expect([...made.keys()].filter((name) => name.includes('check')).toSorted()).toEqual([
    'web-check-1-d1',
    'web-check-2-d1',
    'worker-check-1-d1',
  ])
  expect(made.get('web-check-1-d1')).toMatchObject({
    image: 'curlimages/curl',
    init: {
      entrypoint: ['/bin/sh', '-c'],
      cmd: ['curl http://[$FLY_TEST_MACHINE_IP]:8080'],
    },
    stop_config: { timeout: '5s' },
  })
  expect(made.get('web-check-2-d1')).toMatchObject({ stop_config: { signal: 'SIGQUIT' } })

  // Only the app's own image went through the mirror of the gateway's machine.
  const builders = ['web-check-1-d1', 'web-check-2-d1'].map(
    (name) => made.get(name)?.metadata?.['fly_builder_id'],
  )
  expect(builders).toEqual([undefined, 'm1'])
})

test('a gateway killed anywhere leaves no throwaway machine, whether the check passes or fails', async () => {
  const ways = ['before', 'after', 'written'] as const
  const cases = ways.flatMap((way) => [0, 3].map((exitCode) => ({ way, exitCode })))
  let kills = 0
  await forEachLimit(cases, cases.length, async ({ way, exitCode }) => {
    let last = Infinity
    const times = Array.from({ length: 40 }, (_, at) => at + 1)
    await forEachLimit(times, 4, async (at) => {
      if (at > last) return
      if (await killedAndBack(way, exitCode, at)) kills++
      else last = Math.min(last, at)
    })
    expect(last).toBeLessThan(40)
  })
  expect(kills).toBeGreaterThan(20)
})

/** Kills the process at its n-th call or save; another one resumes. False: it had ended before. */
async function killedAndBack(
  way: 'before' | 'after' | 'written',
  exitCode: number,
  at: number,
): Promise<boolean> {
  await using fly = await FakeFly.start()
  fly.exitCode = exitCode
  fly.leaseSpeed = 10
  if (way !== 'written') fly.killing = { token: 'secret-1', at, when: way }
  const stage = { verifying: false }
  let stored: DeployProgress | null = null
  let saves = 0
  const kept = async (progress: DeployProgress) => {
    if (fly.dead.has('secret-1')) throw new Error('killed')
    stored = progress
    if (way !== 'written' || ++saves < at) return
    fly.dead.add('secret-1')
    throw new Error('killed')
  }
  const asked = { flyToml, watchMs: 0, waitMs: 5000, stage }
  const ending = (more: Asked) =>
    deployed(fly, { ...asked, ...more }).then(
      () => 'live',
      (error: Error) => error.message.replace(/ ended .*/s, ''),
    )
  const first = await ending({ token: 'secret-1', kept })
  const isKilled = fly.dead.has('secret-1')
  const end = isKilled ? await ending({ token: 'secret-2', rollout: stored }) : first
  expect(`${way} ${at}: ${end}`).toBe(
    `${way} ${at}: ${exitCode === 0 ? 'live' : 'The machine check (node --version)'}`,
  )
  expect(fly.machines('web').map(({ name }) => name)).toEqual(exitCode === 0 ? ['app-1-d1'] : [])
  return isKilled
}

test('a check without a command, or with an image of another app, is refused before the build', () => {
  const options = DeploymentOptions.parse({})
  const desired = (toml: string) =>
    desiredApp({ flyToml: toml, app: 'web', options, defaults: { region: 'fra' } })
  expect(() => desired(`${http}[[http_service.machine_checks]]\nimage = "alpine"\n`)).toThrow(
    'http_service.machine_checks[0].command is missing',
  )
  expect(() => desired(http + check.repeat(21))).toThrow('has 21 checks; 20 are allowed')
  const withImage = (image: string) => desired(`${flyToml}image = "${image}"\n`)
  const refuse = (image: string) => () =>
    refuseForeignImages(withImage(image), 'web', 'registry.fly.io')
  expect(refuse('registry.fly.io/other:v1')).toThrow('names registry.fly.io/other:v1')
  expect(refuse('registry.fly.io/webs')).toThrow('an image of another app')
  for (const image of ['alpine', 'registry.fly.io/web:v1', 'registry.fly.io/web'])
    expect(refuse(image)).not.toThrow()
})
