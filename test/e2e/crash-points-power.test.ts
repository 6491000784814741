import { randomBytes, randomUUID } from 'node:crypto'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import type { CrashPoint } from './crash-table.ts'
import { removeBridge } from '../../lab/parts/bridge.ts'
import { file, tar } from '../archives.ts'
import { made, patch, tus } from '../gateway/http/uploads/tus-calls.ts'
import { type CrashLab, giveVolume, startCrashLab } from './crash-lab.ts'
import { shareLab } from './shared-lab.ts'
import { pageApp } from './start.ts'

const run = promisify(execFile)

let lab: CrashLab
let volume: Awaited<ReturnType<typeof giveVolume>>
const bridge = { TARMAC_BUILD_BRIDGE: 'tarmac-cut', TARMAC_BUILD_SUBNET: '10.230.78.0/24' }
shareLab(
  () => startCrashLab({ TARMAC_BUILDKIT: 'spawn', TARMAC_BUILD_ROOT: '', ...bridge }),
  async (fresh) => {
    lab = fresh
    // The rules stay when a gateway ends, and nothing else of the lab names this bridge.
    lab.closing.defer(() =>
      removeBridge({ name: bridge.TARMAC_BUILD_BRIDGE, subnet: bridge.TARMAC_BUILD_SUBNET }),
    )
    volume = await giveVolume(lab)
  },
)

/** Halts the gateway at the point and cuts the power at that moment. */
async function powerGoesAt(point: CrashPoint, act: () => Promise<unknown>, nth = 1): Promise<void> {
  await lab.dies(point, act, { signal: 'SIGSTOP', nth })
  await volume.cutPower()
}

test.each<[CrashPoint, number]>([
  ['uploading', 90],
  ['body-whole', 1],
  ['unpacking', 1],
  ['tree-kept', 1],
])('%s: after a power cut nothing of it is left, and the same key is free', async (point, nth) => {
  const files = { ...pageApp(point), 'large.txt': randomBytes(6 << 20).toString('base64') }
  const put = () => lab.put(point, 'follow=false&deploy=false', files, { 'Idempotency-Key': point })
  await powerGoesAt(point, put, nth)
  await lab.sound()
  const { id, number } = (await (await put()).json()) as Deployment
  expect(number).toBe(1)
  expect((await lab.end(id)).record).toMatchObject({ state: 'built', attempt: 1 })
  await lab.sound(id)
})

test.each<[CrashPoint, number]>([
  ['upload-written', 400],
  ['upload-synced', 2],
  ['upload-recorded', 2],
])('%s: after a power cut an upload goes on at its last synced byte', async (point, nth) => {
  const content = randomBytes(48 << 20)
  const archive = tar(file('large', content))
  const token = { Authorization: `Bearer ${lab.token}` }
  const metadata = { 'Upload-Metadata': `app ${Buffer.from(point).toString('base64')}` }
  const path = await made(lab.gateway, archive.length, metadata, { token })
  await powerGoesAt(point, () => patch(lab.gateway, path, { at: 0, body: archive, token }), nth)

  const head = await tus(lab.gateway, 'HEAD', {}, { path, token })
  const at = Number(head.get('Upload-Offset'))
  expect([head.status, at < archive.length]).toEqual([200, true])
  const rest = archive.subarray(at)
  expect((await patch(lab.gateway, path, { at, body: rest, token })).status).toBe(204)
  const answer = await fetch(`${lab.gateway}/v1/apps/${point}/deployments`, {
    method: 'POST',
    headers: { ...token, 'Content-Type': 'application/json' },
    body: JSON.stringify({ source: { upload: path.split('/').at(-1) }, deploy: false }),
  })
  const { id, source } = (await answer.json()) as Deployment
  const tree = join(lab.dir, 'gateway/trees', source!.digest.replace('sha256:', ''), 'files/large')
  expect((await readFile(tree)).equals(content)).toBe(true)
  await lab.end(id)
  await lab.sound(id)
})

test.each<CrashPoint>(['record-made', 'promised'])(
  '%s: a power cut does not lose it',
  async (point) => {
    const files = pageApp(point)
    const put = () =>
      lab.put(point, 'follow=false&deploy=false', files, { 'Idempotency-Key': point })
    await powerGoesAt(point, put)
    const { id, number } = (await (await put()).json()) as Deployment
    expect(number).toBe(1)
    expect((await lab.end(id)).record.state).toBe('built')
    await lab.sound(id)
  },
)

test.each<CrashPoint>(['solving', 'pushing'])(
  '%s: after a power cut it is built again',
  async (point) => {
    let id = ''
    const files = pageApp(point, `RUN echo ${randomUUID()}; sleep 1`)
    await powerGoesAt(point, async () => (id = await lab.submit(point, files, 'deploy=false')))
    const { record } = await lab.end(id)
    expect(record).toMatchObject({ state: 'built', attempt: 2, problem: null })
    await lab.sound(id)
  },
)

test.each<CrashPoint>(['create-sent', 'machine-done', 'verified'])(
  '%s: after a power cut the rollout continues with the same machines',
  async (point) => {
    let id = ''
    const groups =
      '[processes]\napp = ""\nworker = ""\n[http_service]\ninternal_port = 8080\nprocesses = ["app"]\n'
    await powerGoesAt(
      point,
      async () => (id = await lab.submit(point, { ...pageApp(point), 'fly.toml': groups })),
    )
    const { record } = await lab.end(id)
    expect(record).toMatchObject({ state: 'live', attempt: 1, problem: null })
    expect(await lab.machines(point)).toHaveLength(2)
    await lab.sound(id)
  },
)

test('log-waiting: lines lost in a power cut are marked in the log', async () => {
  let id = ''
  const files = pageApp(
    'log',
    `RUN echo ${randomUUID()}; for n in $(seq 40); do echo line $n; sleep 0.05; done`,
  )
  await powerGoesAt(
    'log-waiting',
    async () => (id = await lab.submit('log-waiting', files, 'deploy=false')),
    12,
  )
  const { record, log } = await lab.end(id)
  expect(record).toMatchObject({ state: 'built', attempt: 2 })
  expect(log.filter(({ type }) => type === 'gap')).toHaveLength(1)
  await lab.sound(id)
})

const sleeping = (event: DeploymentEvent) => event.type === 'step' && event.name.includes('sleep')

test('disk-full: uploads are refused, running work ends, the record continues, and a restart succeeds', async () => {
  const running = await lab.submit(
    'disk-full',
    pageApp('full', `RUN echo ${randomUUID()}; sleep 4; head -c 900000000 /dev/zero > /fill`),
  )
  await lab.seen(running, sleeping)
  let filled = await fillDisk()
  await expect
    .poll(async () => (await lab.put('disk-full', 'follow=false', pageApp('new'))).status)
    .toBe(507)
  const { record } = await lab.end(running)
  expect(record).toMatchObject({ state: 'build_failed', problem: { code: 'no-space' } })

  await filled[Symbol.asyncDispose]()
  let again = ''
  const taken = async () => {
    const answer = await lab.put('disk-full', 'follow=false', pageApp('again'))
    if (answer.status === 202) again = ((await answer.json()) as Deployment).id
    return answer.status
  }
  await expect.poll(taken, { timeout: 30_000, interval: 1000 }).toBe(202)

  await lab.stop('gateway')
  await lab.start('gateway') // allocates the ballast again
  const ballast = join(volume.path, 'ballast')
  await expect.poll(() => existsSync(ballast)).toBe(true)

  lab.kill('gateway')
  filled = await fillDisk()
  await lab.start('gateway')
  expect(existsSync(ballast)).toBe(false)
  await filled[Symbol.asyncDispose]()
  await expect.poll(taken, { timeout: 30_000, interval: 1000 }).toBe(202)

  await lab.stop('gateway')
  await lab.start('gateway')
  expect((await lab.end(again)).record.state).toBe('live')
  await lab.sound(running, again)
})

/** Fills the disk to the last byte. */
async function fillDisk(): Promise<AsyncDisposable> {
  const [most, rest] = ['most', 'rest'].map((name) => join(volume.path, `filling-${name}`)) as [
    string,
    string,
  ]
  const { bavail, bsize } = await statfs(volume.path)
  await run('fallocate', ['-l', `${bavail * bsize - 2 ** 22}`, most])
  await run('cp', ['/dev/zero', rest]).catch(() => {})
  return {
    async [Symbol.asyncDispose]() {
      for (const path of [most, rest]) await rm(path)
    },
  }
}

test('volume-restored: changes after the snapshot are not undone before somebody confirms it', async () => {
  const app = 'restored'
  const submit = (text: string, query = '') => lab.submit(app, pageApp(text), query)
  const first = await lab.end(await submit('one'))
  let late = ''
  await lab.dies('create-sent', async () => (late = await lab.submit('late', pageApp('old'))), {
    signal: 'SIGSTOP',
  })
  const snapshot = await volume.snapshot()
  process.kill(lab.gatewayProcess.pid, 'SIGCONT')
  await lab.end(late)
  const newest = await lab.end(await lab.submit('late', pageApp('new')))
  const second = await lab.end(await submit('two'))
  expect(second.record.number).toBe(2)

  await volume.restore(snapshot)
  // The gateway of the snapshot resumes the work of that time, and does not touch newer machines.
  expect((await lab.end(late)).record.state).toMatch(/superseded|deploy_failed/)
  expect(await lab.machines('late')).toMatchObject([
    { image_ref: { digest: newest.record.image!.digest } },
  ])

  for (const text of ['three', 'four'])
    expect((await lab.end(await submit(text))).record).toMatchObject({
      state: 'deploy_failed',
      problem: { code: 'record-outdated', number: 2 },
    })
  expect(await lab.page(app)).toBe('two')

  const confirmed = await lab.end(await submit('five', 'force-over=2'))
  expect(confirmed.record).toMatchObject({
    state: 'live',
    machines: [{ id: first.record.machines[0]!.id }],
  })
  expect((await lab.end(await submit('six'))).record.state).toBe('live')
  expect(await lab.page(app)).toBe('six')
  expect(
    (await lab.end(await lab.submit('late', pageApp('newest'), 'force-over=2'))).record.state,
  ).toBe('live')
  await lab.sound()
})

test('planner-fails: “try later” is retried with pauses, a limit is final', async () => {
  const planner = join(lab.dir, 'planner')
  const script = `#!/bin/sh
[ "$1" = --version ] && echo 'railpack version 0.37.0' && exit
[ -e "$2/large" ] && exec head -c 100000000 /dev/zero > /tmp/large
echo 'try later' >&2; exit 75`
  await writeFile(planner, script, { mode: 0o755 })
  await lab.stop('gateway')
  await lab.start('gateway', { TARMAC_RAILPACK: planner, TARMAC_AWAY_TIMEOUT: '0.1' })
  const [later, large] = await Promise.all([
    lab.submit('planner-later', { later: '' }),
    lab.submit('planner-large', { large: '' }),
  ])
  const limit = await lab.end(large)
  expect(limit.record).toMatchObject({
    state: 'build_failed',
    problem: { code: 'plan-limit', retry: false },
  })
  expect(pauses(limit.log)).toEqual([])

  const tried = await lab.end(later)
  expect(tried.record).toMatchObject({ state: 'build_failed', problem: { retry: true } })
  expect(pauses(tried.log)).toEqual(['1', '3', '9'])
  await lab.stop('gateway')
  await lab.start('gateway')
  await lab.sound(later, large)
})
const pauses = (log: DeploymentEvent[]) =>
  log.flatMap((event) =>
    event.type === 'note' ? (/Trying again in (\d+) s/.exec(event.text)?.[1] ?? []) : [],
  )

test('clock-jumps: an hour forward and an hour back change nothing', async () => {
  const clock = join(lab.dir, 'clock')
  await writeFile(clock, '+0')
  const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
  await lab.stop('gateway')
  await lab.start('gateway', {
    LD_PRELOAD: `/usr/lib/${arch}-linux-gnu/faketime/libfaketime.so.1`,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  })
  const app = 'clock-jumps'
  const first = await lab.submit(app, pageApp('one', `RUN echo ${randomUUID()}; sleep 2`))
  await lab.seen(first, sleeping)
  await writeFile(clock, '+3600')
  const { record, log } = await lab.end(first)
  expect(record).toMatchObject({ state: 'live', attempt: 1, problem: null })
  // otherwise the clock did not jump
  expect(Date.parse(log.at(-1)!.at) - Date.parse(log[0]!.at)).toBeGreaterThan(3_500_000)

  const second = await lab.submit(app, pageApp('two', `RUN echo ${randomUUID()}; sleep 2`))
  await lab.seen(second, ({ type }) => type === 'machine')
  await writeFile(clock, '-3600')
  const third = await lab.submit(app, pageApp('three'))
  expect((await lab.end(second)).record).toMatchObject({ state: 'live', attempt: 1, problem: null })
  expect((await lab.end(third)).record).toMatchObject({ state: 'live', attempt: 1, problem: null })
  expect(await lab.page(app)).toBe('three')

  await lab.stop('gateway')
  await lab.start('gateway')
  await lab.sound(first, second, third)
})
