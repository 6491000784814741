import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { DriftReport } from '#api/drift/report.ts'
import type { Release } from '#api/release.ts'
import { askFly, quicklyChecked } from '../../lab/use-lab.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type Files, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab({ TARMAC_RELEASE_LOOK: '1' }),
  (fresh) => void (lab = fresh),
)

const read = async <T>(path: string) => (await (await lab.ask(path)).json()) as T

test('a program that is killed after its deployment went live makes the release degraded', async () => {
  const { record } = await lab.held('frail', pageApp('up'))
  expect(record).toMatchObject({ state: 'live', release: 1, releaseState: 'healthy' })
  const machine = record.machines[0]!.id
  const kill = { command: ['killall', '-9', 'httpd'] }
  await askFly(lab, 'POST', `/apps/frail/machines/${machine}/exec`, kill)

  const release = () => read<Release>('/v1/apps/frail/releases/1')
  await expect.poll(async () => (await release()).state, { timeout: 20_000 }).toBe('degraded')
  const crash = { machine, why: 'was killed by signal 9', endedAt: null }
  expect(await release()).toMatchObject({ crashes: [crash] })
  expect(await read<Deployment>(`/v1/deployments/${record.id}`)).toMatchObject({
    state: 'live',
    releaseState: 'degraded',
    crashes: [crash],
  })
  expect(await read<DriftReport>('/v1/apps/frail/drift')).toMatchObject({
    degraded: [{ release: 1, deployment: record.id, crashes: [crash] }],
    missing: [],
  })
  const { log } = await lab.end(record.id)
  expect(log.at(-1)).toMatchObject({ type: 'release', state: 'degraded', machine })
})

const checked = (text: string): Files => ({
  ...pageApp(text),
  'fly.toml': `${quicklyChecked('/')}
[[http_service.machine_checks]]
command = ["sh", "-c", "wget -qO- http://$FLY_TEST_MACHINE_IP:8080/ | tee /dev/stderr | grep good"]
[[http_service.machine_checks]]
image = "alpine"
command = ["sh", "-c", "echo checks $FLY_TEST_COMMAND; test ! -e /www"]
`,
})

test('machine checks run against the release before any machine is touched', async () => {
  const good = await lab.held('examined', checked('a good page'))
  expect([good.status, good.record.state]).toEqual([200, 'live'])
  const line = (step: string, text: string) =>
    expect.objectContaining({ type: 'log', step, text: expect.stringContaining(text) as string })
  expect(good.log).toContainEqual(line('machine_check app 1', 'a good page'))
  expect(good.log).toContainEqual(line('machine_check app 2', 'checks 1'))

  const { status, record, text } = await lab.held('examined', checked('a bad page'))
  expect(record.problem?.detail).toMatch(
    /exit code 1, before any machine of the app was touched\. Its log: fly logs/,
  )
  expect([status, record.state, record.problem]).toMatchObject([
    502,
    'deploy_failed',
    { code: 'deploy-failed', exitCode: 1, lastLines: ['a bad page'], machines: [] },
  ])
  expect(text).toMatch(/ {3}\| a bad page\n/)
  expect(await lab.machines('examined')).toMatchObject([
    { id: good.record.machines[0]!.id, image_ref: { digest: good.record.image!.digest } },
  ])
  expect(await lab.page('examined')).toBe('a good page')
})
