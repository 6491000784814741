import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { quicklyChecked } from '../../lab/use-lab.ts'
import { heldApp } from './held-step.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type Files, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab({ TARMAC_MACHINE_TIMEOUT: '12' }),
  (fresh) => void (lab = fresh),
)

test('200 for a live deployment and for a built one', async () => {
  const live = await lab.held('held', pageApp('first'))
  expect(live).toMatchObject({ status: 200, record: { state: 'live', problem: null } })
  expect(live.text).toMatch(/live: held, deployment \S+\nhttp:\/\/held\.localhost/)
  const built = await lab.held('held', pageApp('second'), 'deploy=false')
  expect(built).toMatchObject({ status: 200, record: { state: 'built', machines: [] } })
  expect(built.text).toContain(built.record.image!.reference)
  expect(await lab.page('held')).toBe('first')
})

test('202 at once for follow=false, with the record and its location', async () => {
  const answer = await lab.put('later', 'follow=false&deploy=false', pageApp('later'))
  const { id } = (await answer.json()) as Deployment
  expect([answer.status, answer.headers.get('Location')]).toEqual([202, `/v1/deployments/${id}`])
  expect((await lab.end(id)).record.state).toBe('built')
})

test('422 for a failed step, with its name, exit code, last lines and position', async () => {
  const files = pageApp('never', 'RUN echo one; echo two >&2; exit 3')
  const { status, text, record, log } = await lab.held('broken', files)
  const step = '[2/3] RUN echo one; echo two >&2; exit 3'
  const problem = {
    code: 'build-failed',
    fault: 'source',
    step,
    exitCode: 3,
    source: { file: 'Dockerfile', line: 2 },
  }
  expect({ status, record }).toMatchObject({
    status: 422,
    record: { state: 'build_failed', problem },
  })
  expect(record.problem!['lastLines']).toEqual(expect.arrayContaining(['one', 'two']))
  expect(text).toContain('exit code 3')
  expect(log.findLast((event) => event.type === 'step')).toMatchObject({
    status: 'failed',
    name: step,
  })
  expect(await lab.machines('broken')).toEqual([])
  expect((await lab.holdings()).plans).toEqual([])
})

test('422 for a source without a builder, with what was looked for, and without making an app', async () => {
  const before = (await lab.holdings()).apps
  const { status, record, text } = await lab.held('nothing', { 'notes.txt': 'hello' })
  expect([status, record.state, record.problem?.code]).toEqual([
    422,
    'build_failed',
    'no-builder-found',
  ])
  expect(text).toMatch(/Dockerfile[^]*package\.json/)
  expect((await lab.holdings()).apps).toEqual(before)
})

/** An app with a check that passes at `/`, and fails within seconds at any other path. */
const checked = (text: string, path: string, release = ''): Files => {
  const wait = path === '/' ? '' : 'wait_timeout = "5s"\n'
  return { ...pageApp(text), 'fly.toml': `${quicklyChecked(path)}[deploy]\n${wait}${release}` }
}

test('502 for a version whose check fails; the previous version answers again on the same machine', async () => {
  const first = await lab.held('checked', checked('first version', '/'))
  expect(first.status).toBe(200)
  const { status, record, text } = await lab.held('checked', checked('second version', '/missing'))
  expect([status, record.state, record.problem?.code]).toEqual([
    502,
    'deploy_failed',
    'deploy-failed',
  ])
  expect(text).toMatch(/404/)
  expect(record.machines).toMatchObject([
    { id: first.record.machines[0]!.id, outcome: 'rolled_back' },
  ])
  expect(await lab.machines('checked')).toMatchObject([
    {
      id: first.record.machines[0]!.id,
      state: 'started',
      image_ref: { digest: first.record.image!.digest },
    },
  ])
  expect(await lab.page('checked')).toBe('first version')
})

test('bluegreen adds two new machines and removes the old ones, or leaves the old ones unchanged', async () => {
  const source = (text: string, path: string, command: string): Files =>
    checked(text, path, `release_command = "${command}"\n`)
  const first = await lab.held('pair', source('blue', '/', 'true'), 'ha=true')
  const ids = first.record.machines.map(({ id }) => id)
  expect([first.status, ids.length]).toEqual([200, 2])

  const bad = await lab.held('pair', source('bad', '/missing', 'true'), 'strategy=bluegreen')
  expect([bad.status, bad.record.machines.map(({ before, outcome }) => [before, outcome])]).toEqual(
    [502, [[null, 'removed']]],
  )

  const unready = await lab.held(
    'pair',
    source('bad', '/', "sh -c 'echo no table; exit 3'"),
    'strategy=bluegreen',
  )
  expect([unready.status, unready.record.problem?.['exitCode'], unready.record.machines]).toEqual([
    502,
    3,
    [],
  ])

  const printed = { type: 'log', step: 'release_command', text: 'no table' }
  expect(unready.log).toContainEqual(expect.objectContaining(printed))
  expect((await lab.machines('pair')).map(({ id, state }) => [id, state])).toEqual(
    ids.map((id) => [id, 'started']),
  )
  expect(await lab.page('pair')).toBe('blue')
  const green = await lab.held('pair', source('green', '/', 'true'), 'strategy=bluegreen')
  expect(green.status).toBe(200)

  const now = await lab.machines('pair')
  expect(now).toMatchObject([{ state: 'started' }, { state: 'started' }])
  expect(now.some(({ id }) => ids.includes(id))).toBe(false)
  expect(green.record.machines.map(({ outcome }) => outcome)).toEqual([
    'verified',
    'verified',
    'removed',
    'removed',
  ])
  expect([await lab.page('pair'), await lab.page('pair')]).toEqual(['green', 'green'])
})

test('502 for a first version that crashes, with its last lines; no machine is left', async () => {
  const { status, record, text } = await lab.held('crashing', {
    Dockerfile: 'FROM alpine\nCMD ["sh", "-c", "echo no database; exit 4"]',
  })
  expect([status, record.state, record.problem?.code]).toEqual([
    502,
    'deploy_failed',
    'deploy-failed',
  ])
  expect(text).toMatch(/exit code 4/)
  expect(text).toContain(' | no database\n')
  expect(record.problem?.['lastLines']).toContain('no database')
  expect(text).toMatch(/fly logs --app crashing --machine [0-9a-f]{14}/)
  expect(record.machines).toMatchObject([{ before: null, outcome: 'removed' }])
  expect(await lab.machines('crashing')).toEqual([])
})

test('200 with a warning for a version that listens on another port without a check', async () => {
  const { status, record, text } = await lab.held('unheard', {
    Dockerfile: 'FROM alpine\nCMD ["httpd", "-f", "-p", "9090", "-h", "/"]',
    'fly.toml': '[http_service]\ninternal_port = 8080\n',
  })
  expect([status, record.state]).toEqual([200, 'live'])
  const warning =
    /no program listens on 0\.0\.0\.0:8080\. What listens instead: .*httpd.* on (?:0\.0\.0\.0|\[::\]):9090/
  expect(record.machines[0]?.warning).toMatch(warning)
  expect(text.split('\nlive: ')[1]).toMatch(warning)
})

test('409 for a deployment that a newer one supersedes', async () => {
  const build = heldApp('one')
  const first = await lab.submit('crowd', build.files)
  const second = lab.held('crowd', pageApp('two'))
  await lab.seen(first, (event) => event.type === 'step' && event.name.includes('sleep'))
  await expect
    .poll(async () => (await lab.holdings()).records, { timeout: 5000 })
    .toBeGreaterThan(1)

  const third = lab.held('crowd', pageApp('three'))
  expect(await second).toMatchObject({
    status: 409,
    record: { state: 'superseded', problem: { code: 'superseded' } },
  })
  await build.release()
  expect(await third).toMatchObject({ status: 200, record: { state: 'live', problem: null } })
  expect(await lab.page('crowd')).toBe('three')
  expect((await lab.end(first)).record.state).toBe('live')
})

test('504 for a build beyond its time', async () => {
  await lab.stop('gateway')
  await lab.start('gateway', { TARMAC_BUILD_TIMEOUT: '3' })
  const answer = await lab.put('slow', 'wait=true', pageApp('slow', 'RUN sleep 60'))
  expect([answer.status, await answer.text()]).toEqual([
    504,
    expect.stringContaining('The build took longer than 3 s'),
  ])
})
