import { randomBytes, randomUUID } from 'node:crypto'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { fill, routes } from '#api/routes.ts'
import type { CrashPoint } from './crash-table.ts'
import { type CrashLab, startCrashLab } from './crash-lab.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp } from './start.ts'

const run = promisify(execFile)

let lab: CrashLab
shareLab(
  () => startCrashLab(),
  (fresh) => void (lab = fresh),
)

test.each<[CrashPoint, number]>([
  ['uploading', 90],
  ['body-whole', 1],
  ['unpacking', 1],
  ['tree-kept', 1],
])(
  '%s: nothing of it is left, and the same key is free for another attempt',
  async (point, nth) => {
    const files = { ...pageApp(point), 'large.txt': randomBytes(6 << 20).toString('base64') }
    const put = () =>
      lab.put(point, 'follow=false&deploy=false', files, { 'Idempotency-Key': point })
    await lab.dies(point, put, { nth })
    await lab.start('gateway')
    await lab.sound()
    const { id, number } = (await (await put()).json()) as Deployment
    expect(number).toBe(1)
    expect((await lab.end(id)).record).toMatchObject({ state: 'built', attempt: 1 })
    await lab.sound(id)
  },
)

test.each<CrashPoint>(['record-made', 'promised'])(
  '%s: it continues, and the same key gives the same deployment',
  async (point) => {
    const files = pageApp(point)
    const put = () =>
      lab.put(point, 'follow=false&deploy=false', files, { 'Idempotency-Key': point })
    await lab.dies(point, put)
    await lab.start('gateway')
    const { id, number } = (await (await put()).json()) as Deployment
    expect(number).toBe(1)
    expect((await lab.end(id)).record.state).toBe('built')
    await lab.sound(id)
  },
)

/** The outcome of the build steps since the build last began. */
const lastSteps = (log: DeploymentEvent[]) => {
  const began = log.findLastIndex((event) => event.type === 'state' && event.state === 'building')
  const steps = log.slice(began).filter((event) => event.type === 'step')
  return steps.filter(({ name }) => /\] (RUN|COPY) /.test(name)).map(({ status }) => status)
}
const building = ['pending', 'fetching', 'analyzing', 'building']
const gaps = (log: DeploymentEvent[]) => log.filter(({ type }) => type === 'gap').length

test.each<[CrashPoint, boolean]>([
  ['solve-sent', false],
  ['pushed', true],
  ['image-known', true],
])('%s: the next gateway builds it again, from cache', async (point, done) => {
  const page = pageApp(point, `RUN echo ${randomUUID()}`)
  let id = ''
  await lab.dies(point, async () => (id = await lab.submit(point, page, 'deploy=false')))
  await lab.start('gateway')
  const { record, log, states } = await lab.end(id)
  expect(record).toMatchObject({ state: 'built', attempt: 2, problem: null })
  expect(states.slice(0, 4)).toEqual(building)
  expect(states.filter((state) => state === 'pending')).toHaveLength(2)
  expect(gaps(log)).toBe(1)
  if (done) expect(new Set(lastSteps(log))).toEqual(new Set(['cached']))
  await lab.sound(id)
})

test.each<CrashPoint>(['solving', 'pushing', 'pushed'])(
  '%s: the gateway waits for a build daemon that dies',
  async (point) => {
    const app = `daemon-${point}`
    let id = ''
    await lab.losesDaemonAt(point, async () => {
      id = await lab.submit(app, pageApp(app, `RUN echo ${randomUUID()}; sleep 1`), 'deploy=false')
    })
    await expect.poll(() => id).not.toBe('')
    expect((await lab.end(id)).record).toMatchObject({ state: 'built', attempt: 1, problem: null })
    await lab.sound(id)
  },
)

test('planning: the planner dies with the gateway, and the next gateway plans again', async () => {
  const planner = join(lab.dir, 'planner')
  const app = `planning-${process.pid}` // a name that nobody else uses on this machine
  const asleep = `sleep 6161.${process.pid}`
  const script = `#!/bin/sh\n[ "$1" = --version ] && echo railpack version 0.37.0 && exit\n${asleep}`
  await writeFile(planner, script, { mode: 0o755 })
  await lab.stop('gateway')
  await lab.start('gateway', { TARMAC_RAILPACK: planner })
  let id = ''
  await lab.dies(
    'planning',
    async () => (id = await lab.submit(app, { 'start.sh': 'echo' }, 'deploy=false')),
  )
  await sleep(1000) // a survivor of the gateway would be asleep by now
  expect(
    await run('pgrep', ['-f', `${asleep}|/source/${app}`]).catch(
      (error: { code: number }) => error.code,
    ),
  ).toBe(1)

  await lab.start('gateway')
  const { record } = await lab.end(id)
  expect(record).toMatchObject({ state: 'built', attempt: 2, problem: null })
  await lab.sound(id)
})

test('log-waiting: possible gaps of the log are marked, and the rest is in order', async () => {
  let id = ''
  const files = pageApp(
    'log',
    `RUN echo ${randomUUID()}; for n in $(seq 40); do echo line $n; sleep 0.05; done`,
  )
  await lab.dies(
    'log-waiting',
    async () => (id = await lab.submit('log-waiting', files, 'deploy=false')),
    { nth: 12 },
  )
  await lab.start('gateway')
  const { record, log } = await lab.end(id)
  expect(record).toMatchObject({ state: 'built', attempt: 2 })

  const at = log.findIndex(({ type }) => type === 'gap')
  expect(log.slice(at + 1).find(({ type }) => type === 'state')).toMatchObject({
    from: 'building',
    state: 'pending',
  })
  await lab.sound(id)
})

const twoGroups = {
  'fly.toml':
    '[processes]\napp = ""\nworker = ""\n[http_service]\ninternal_port = 8080\nprocesses = ["app"]\n',
}

test.each<CrashPoint>(['create-sent', 'machine-done', 'verified'])(
  '%s: the next gateway continues with the same machines, and makes none twice',
  async (point) => {
    let id = ''
    const files = { ...pageApp(point), ...twoGroups }
    await lab.dies(point, async () => (id = await lab.submit(point, files)))
    await lab.start('gateway')
    const { record, states } = await lab.end(id)
    expect(record).toMatchObject({ state: 'live', attempt: 1, problem: null })
    expect(states.slice(-3)).toEqual(['deploying', 'verifying', 'live'])
    expect((await lab.machines(point)).map(({ id }) => id).toSorted()).toEqual(
      record.machines.map(({ id }) => id).toSorted(),
    )
    expect(record.machines).toHaveLength(2)
    await lab.sound(id)
  },
)

test.each<[CrashPoint, number]>([
  ['lease-taken', 1],
  ['update-sent', 1],
  ['machine-done', 1],
])('%s: an update continues once the dead gateway’s lease has expired', async (point, nth) => {
  const app = `update-${point}`
  const files = (text: string) => ({ ...pageApp(text), ...twoGroups })
  const first = (await lab.end(await lab.submit(app, files('one')))).record
  let id = ''
  await lab.dies(point, async () => (id = await lab.submit(app, files('two'))), { nth })
  await lab.start('gateway')
  const { record } = await lab.end(id)
  expect(record).toMatchObject({ state: 'live', problem: null })
  expect(record.machines.map(({ id }) => id).toSorted()).toEqual(
    first.machines.map(({ id }) => id).toSorted(),
  )
  expect(await lab.page(app)).toBe('two')
  await lab.sound(first.id, id)
})

const cancel = (id: string, query = '') =>
  fetch(`${lab.gateway}${fill(routes.cancel, { id })}${query}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${lab.token}` },
  })
const slow = (text: string) => pageApp(text, `RUN echo ${randomUUID()}; sleep 20`)
const sleeping = (event: DeploymentEvent) => event.type === 'step' && event.name.includes('sleep')

test('cancel-requested: a cancel request from before the crash still applies after it', async () => {
  const id = await lab.submit('cancel-requested', slow('wished'))
  await lab.seen(id, sleeping)
  await lab.dies('cancel-requested', () => cancel(id))
  await lab.start('gateway')
  const { record, states } = await lab.end(id)
  expect(record).toMatchObject({ state: 'cancelled', attempt: 1, problem: { code: 'cancelled' } })
  expect(states.slice(-2)).toEqual(['building', 'cancelled'])
  await lab.sound(id)
})

test('cancelled: at any moment it ends once; from the first machine on it is too late', async () => {
  const built = await lab.submit('cancelled', slow('built'))
  await lab.seen(built, sleeping)
  expect([(await cancel(built)).status, (await cancel(built)).status]).toEqual([202, 202])
  expect((await lab.end(built)).record.state).toBe('cancelled')

  const deployed = await lab.submit('cancelled', pageApp('deployed'))
  await lab.seen(deployed, ({ type }) => type === 'machine')
  const late = await cancel(deployed)
  expect([late.status, ((await late.json()) as { code: string }).code]).toEqual([
    409,
    'cancel-too-late',
  ])
  expect((await lab.end(deployed)).record.state).toBe('live')
  expect((await cancel(deployed)).status).toBe(200) // it has ended
  await lab.sound(built, deployed)
})
