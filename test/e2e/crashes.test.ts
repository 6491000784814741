import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { DeploymentEvent } from '#api/event.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp, startTestLab, type TestLab } from './start.ts'

let lab: TestLab
shareLab(
  () => startTestLab({ TARMAC_AWAY_TIMEOUT: '25' }),
  (fresh) => void (lab = fresh),
)

/** An app whose build takes this many seconds and never comes from the cache. */
const slowApp = (text: string, seconds: number) =>
  pageApp(text, `RUN echo ${randomUUID()}; sleep ${seconds}`)
const sleeping = (event: DeploymentEvent) => event.type === 'step' && event.name.includes('sleep')
const reasons = (log: DeploymentEvent[]) =>
  log.flatMap((event) => (event.type === 'state' && event.reason ? [event.reason] : []))

test('a gateway killed during a build resumes it, and the log says so', async () => {
  const id = await lab.submit('killed-build', slowApp('built twice', 4))
  await lab.seen(id, sleeping)
  lab.kill('gateway')
  await lab.start('gateway')
  const { record, log, states } = await lab.end(id)
  expect(record).toMatchObject({ state: 'live', attempt: 2, problem: null })
  expect(states.slice(3)).toEqual([
    'building',
    'pending',
    'fetching',
    'analyzing',
    'building',
    'pushing',
    'deploying',
    'verifying',
    'live',
  ])
  expect(reasons(log)).toEqual(['The gateway stopped while this ran'])
  expect(await lab.page('killed-build')).toBe('built twice')
})

test('a gateway stopped during a build returns it to the queue; the next one finishes it', async () => {
  const id = await lab.submit('stopped-build', slowApp('stopped', 4))
  const held = lab.put('other', 'wait=true', slowApp('held', 30))
  await lab.seen(id, sleeping)
  await lab.stop('gateway')
  expect((await held).status).toBe(503)
  await lab.start('gateway')
  const { record, log } = await lab.end(id)
  expect(record).toMatchObject({ state: 'live', attempt: 2, problem: null })
  expect(reasons(log)).toEqual(['The gateway stopped. This continues after the restart.'])
})

test.each([
  ['its machine is being made', 'creating'],
  ['its machine is there', 'started'],
  ['its machine is checked', 'checking'],
])('a gateway killed while %s continues with the same machine', async (_, status) => {
  const app = `killed-${status}`
  const id = await lab.submit(app, pageApp(status))
  await lab.seen(id, (event) => event.type === 'machine' && event.status === status)
  lab.kill('gateway')
  await lab.start('gateway')
  const { record, states, log } = await lab.end(id)
  expect(record).toMatchObject({
    state: 'live',
    problem: null,
    machines: [{ outcome: 'verified' }],
  })
  expect(states.slice(-3)).toEqual(['deploying', 'verifying', 'live'])
  expect(log).toContainEqual(
    expect.objectContaining({ type: 'note', text: expect.stringContaining('going on') }),
  )
  expect(await lab.machines(app)).toMatchObject([
    { id: record.machines[0]!.id, image_ref: { digest: record.image!.digest } },
  ])
  expect(await lab.page(app)).toBe(status)
})

test('a gateway killed during the verification ends live, from its checkpoint', async () => {
  const id = await lab.submit('killed-verify', pageApp('verified'))
  await lab.seen(id, (event) => event.type === 'state' && event.state === 'verifying')
  lab.kill('gateway')
  await lab.start('gateway')
  expect((await lab.end(id)).record).toMatchObject({ state: 'live', problem: null })
  expect(await lab.machines('killed-verify')).toHaveLength(1)
})

test('a gateway killed during the update of a leased machine completes the update', async () => {
  const first = await lab.end(await lab.submit('killed-update', pageApp('one')))
  const id = await lab.submit('killed-update', pageApp('two'))
  await lab.seen(id, (event) => event.type === 'machine' && event.status === 'updating')
  lab.kill('gateway')
  await lab.start('gateway')
  const { record } = await lab.end(id)
  expect(record).toMatchObject({
    state: 'live',
    problem: null,
    machines: [{ id: first.record.machines[0]!.id, outcome: 'verified' }],
  })
  expect(await lab.page('killed-update')).toBe('two')
})

const warnings = (log: DeploymentEvent[]) =>
  log.flatMap((event) => (event.type === 'warning' ? [event.text] : []))

test('the gateway waits for a build daemon that dies during a build', async () => {
  const id = await lab.submit('daemon', slowApp('after the daemon', 4))
  await lab.seen(id, sleeping)
  lab.kill('buildkitd')
  await lab.seen(id, ({ type }) => type === 'warning')
  await lab.start('buildkitd')
  const { record, log } = await lab.end(id)
  expect(record).toMatchObject({ state: 'live', problem: null })
  expect(warnings(log)[0]).toMatch(/^The build daemon does not answer/)
})

test('the gateway waits for a registry that is unavailable at the push', async () => {
  const id = await lab.submit('registry', slowApp('after the registry', 3))
  await lab.seen(id, sleeping)
  await lab.stop('registry')
  await lab.seen(id, ({ type }) => type === 'warning')
  await lab.start('registry')
  const { record, log } = await lab.end(id)
  expect(record).toMatchObject({ state: 'live', problem: null })
  expect(warnings(log)[0]).toMatch(/^The registry /)
})
