import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { existsSync, mkdirSync, statfsSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { NewEvent } from '../../api/event.ts'
import { DeploymentOptions } from '../../api/options.ts'
import { Problem } from '../../api/problem.ts'
import { Daemon } from '../../gateway/src/buildkit/daemon/daemon.ts'
import { Buildkit } from '../../gateway/src/buildkit/client.ts'
import { stopLargestStep } from '../../gateway/src/buildkit/daemon/step-writes.ts'
import { readConfig } from '../../gateway/src/config.ts'
import { startGateway } from '../../gateway/src/gateway.ts'
import { Ballast } from '../../gateway/src/host/disk/ballast.ts'
import { DiskWatch } from '../../gateway/src/host/disk/disk-watch.ts'
import { openLog } from '../../gateway/src/log.ts'
import { retryWhileUnavailable } from '../../gateway/src/pipeline/retry-unavailable.ts'
import { withDiskSpace } from '../../gateway/src/build/with-disk-space.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { lockVolume } from '../../gateway/src/store/volume-lock.ts'
import { pickBridge } from '../../lab/parts/bridge.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { tools } from '../../lab/ready.ts'
import { cacheLimits, limits, logText, problemOf, step, stepBuilds } from './step-source.ts'

const registryPort = 6541
const open = new AsyncDisposableStack()
let root: string
let prunes = 0
let restarts = 0
let disk: DiskWatch
let builds: Awaited<ReturnType<typeof stepBuilds>>

/** A daemon whose cache is on a file system of 300 MB. */
beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-disk-'))
  open.defer(() => rm(dir, { recursive: true, force: true }))
  open.use(await startRegistry({ dir, port: registryPort }))
  root = join(dir, 'root')
  mkdirSync(root)
  execFileSync('truncate', ['-s', '300M', join(dir, 'disk')])
  execFileSync('mkfs.ext4', ['-q', '-m', '0', join(dir, 'disk')])
  execFileSync('mount', ['-o', 'loop', join(dir, 'disk'), root])
  open.defer(() => void execFileSync('umount', [root]))
  const log = openLog('silent')
  const settings = {
    command: tools.buildkitd,
    dir,
    root,
    bridge: await pickBridge(dir),
    nameservers: [],
    mirrors: {},
  }
  const more = {
    plainHttp: [`127.0.0.1:${registryPort}`],
    steps: 4,
    limits,
    stepLogBytes: 2 ** 20,
    cache: cacheLimits,
  }
  const daemon = open.use(await Daemon.start({ ...settings, ...more }, log))
  const about = {
    address: daemon.address,
    contextPort: 0,
    key: Buffer.from('key'),
    loginFor: () => null,
    images: { allowed: [], frontends: [], own: '', refreshMs: 0 },
  }
  const buildkit = open.use(await Buildkit.open(about))
  const makeRoom = (freeBytes: number) => {
    prunes++
    return buildkit.cache.prune({ minFreeBytes: freeBytes })
  }
  const makeMoreRoom = async (freeBytes: number) => {
    if ((await buildkit.leakedBytes(AbortSignal.timeout(5000))) === 0) return false
    restarts++
    await daemon.restart()
    await makeRoom(freeBytes)
    return true
  }
  const marks = { low: { share: 0.2 }, high: { share: 0.3 } }
  const stopLargest = (by: 'bytes' | 'files') =>
    stopLargestStep({ command: tools.buildkitd, root }, by)
  disk = open.use(
    await DiskWatch.open({ folder: root, ...marks, makeRoom, makeMoreRoom, stopLargest, log }),
  )
  builds = await stepBuilds(dir, buildkit, `127.0.0.1:${registryPort}`)
}, 60_000)
afterAll(() => open.disposeAsync())

const freeMb = () => (statfsSync(root).bfree * statfsSync(root).bsize) / 2 ** 20

const solve = (steps: string[], signal = AbortSignal.timeout(60_000), events: NewEvent[] = []) =>
  withDiskSpace(
    disk,
    (event) => void events.push(event),
    (emit, limited) => builds.solve(steps, limited, { push: emit }),
    signal,
  )
/** Runs a build as the pipeline does. */
function build(steps: string[], events: NewEvent[] = []) {
  const signal = AbortSignal.timeout(90_000)
  return retryWhileUnavailable(
    () => solve(steps, signal, events),
    60_000, // the default of TARMAC_AWAY_TIMEOUT
    (event) => void events.push(event),
    signal,
  )
}

test(
  'a disk that was filled twenty times has space again, and every later build is correct',
  { timeout: 240_000 },
  async () => {
    for (let round = 0; round < 20; round++) {
      const fill = [step('say', `round ${round}`, 'fill', String(round % 4 ? 120 : 400))]
      // Every fourth one is larger than the disk. The others leave caches until the disk is short.
      if (round % 4) await build(fill)
      else {
        const failure = await problemOf(solve(fill))
        expect(failure.body()).toMatchObject({ code: 'no-space', status: 507, retry: true })
      }
      const events: NewEvent[] = []
      const { digest } = await build(
        [step('say', `after ${round}`, 'fill', '10'), step('say', 'and right')],
        events,
      )
      expect(digest).toMatch(/^sha256:/)
      expect(logText(events)).toMatch(new RegExp(`after ${round}\\nand right$`))
      const manifest = await fetch(`http://127.0.0.1:${registryPort}/v2/app/manifests/one`, {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      })
      expect(manifest.headers.get('docker-content-digest')).toBe(digest)
      for (const { digest } of ((await manifest.json()) as { layers: { digest: string }[] })
        .layers) {
        const blob = await fetch(`http://127.0.0.1:${registryPort}/v2/app/blobs/${digest}`)
        expect(`sha256:${hash('sha256', Buffer.from(await blob.arrayBuffer()))}`).toBe(digest)
      }
    }
    expect(prunes).toBeGreaterThan(10)
  },
)

test('below the low watermark uploads are refused with the reason; with space freed the gateway works again', async () => {
  await disk.makeRoom(0.9)
  execFileSync('fallocate', ['-l', `${Math.floor(freeMb() - 40)}M`, join(root, 'foreign')])
  await vi.waitFor(() => expect(() => disk.assertRoom()).toThrow(Problem), { timeout: 3000 })
  expect(disk.state()).toEqual({
    ok: false,
    detail: expect.stringMatching(/^\d+ MB of \d+ MB free; the gateway accepts nothing new until/),
  })
  const failure = await problemOf(disk.settled(AbortSignal.timeout(5000)))
  expect(failure.body()).toMatchObject({ code: 'no-space', retryAfterSeconds: 30 })

  await rm(join(root, 'foreign'))
  await vi.waitFor(() => disk.assertRoom(), { timeout: 3000 })
  expect(disk.state().ok).toBe(true)
})

test('a step that has nearly filled the disk is stopped alone, before nothing is left; a neighbour ends well', async () => {
  await disk.makeRoom(0.9)
  await vi.waitFor(() => disk.assertRoom(), { timeout: 3000 })
  const restartsBefore = restarts
  const events: NewEvent[] = []
  const neighbour = solve(
    // It has its bytes before the other step counts what is free.
    [step('fill', '5', 'say', 'begun', 'sleep', '6', 'say', 'well')],
    undefined,
    events,
  )
  await vi.waitFor(() => expect(logText(events)).toContain('begun'), { timeout: 10_000 })
  const failure = await problemOf(
    solve([step('fill', String(Math.floor(freeMb() - 12)), 'sleep', '600')]),
  )
  expect(failure.body()).toMatchObject({
    code: 'no-space',
    step: expect.stringContaining('600'),
    wroteBytes: expect.any(Number),
    detail: expect.stringMatching(/wrote \d+ MB and \d+ files and filled the gateway’s disk/),
  })
  expect(Number(failure.facts['wroteBytes'])).toBeGreaterThan(150e6)
  expect(() => execFileSync('pgrep', ['-f', '/step fill .* sleep 600'])).toThrow('Command failed')
  expect((await neighbour).digest).toMatch(/^sha256:/)
  expect(logText(events)).toContain('well')
  await vi.waitFor(() => disk.assertRoom(), { timeout: 20_000 })
  expect(restarts).toBe(restartsBefore)
})

test('a step that creates files until hardly any inodes are left is stopped, and its files are removed', async () => {
  await disk.makeRoom(0.9)
  await vi.waitFor(() => disk.assertRoom(), { timeout: 3000 })
  const files = statfsSync(root).ffree - 1500
  const failure = await problemOf(solve([step('files', `${files}`, 'sleep', '600')]))
  expect(failure.body()).toMatchObject({
    code: 'no-space',
    detail: expect.stringMatching(/and [4-9]\d{4} files/),
  })
  await vi.waitFor(() => disk.assertRoom(), { timeout: 20_000 })
  expect((await build([step('say', 'after the files')])).digest).toMatch(/^sha256:/)
})

test('a build whose copies fill the disk, in no step of its own, ends with no-space, and the next one is right', async () => {
  await disk.makeRoom(0.9)
  await vi.waitFor(() => disk.assertRoom(), { timeout: 3000 })
  const copies = [1, 2, 3, 4].map((copy) => `COPY --from=0 /filled /copy${copy}`)
  const failure = await problemOf(solve([step('fill', '80'), 'FROM scratch', ...copies]))
  expect(failure.body()).toMatchObject({ code: 'no-space', status: 507 })
  expect((await build([step('say', 'after the copies')])).digest).toMatch(/^sha256:/)
})

test('a build that fills the disk at each try is not tried for ever, and others are right after it', async () => {
  const events: NewEvent[] = []
  const failure = await problemOf(build([step('say', 'a try', 'fill', '400')], events))
  expect(failure.body()).toMatchObject({ code: 'no-space', fillsDisk: true })
  expect(logText(events).match(/a try/g)!.length).toBeLessThanOrEqual(3)
  expect((await build([step('say', 'right')])).digest).toMatch(/^sha256:/)
})

test('on a full volume a start reaches the records by means of the ballast', async () => {
  await using closing = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-full-'))
  closing.defer(() => rm(dir, { recursive: true }))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=80M', 'tmpfs', dir])
  closing.defer(() => void execFileSync('umount', [dir]))
  const file = join(dir, 'tarmac.db')
  lockVolume(dir)[Symbol.dispose]()
  await openSqliteStore(file)[Symbol.asyncDispose]()
  writeFileSync(join(dir, 'ballast'), Buffer.alloc(64 * 2 ** 20))
  expect(() => execFileSync('cp', ['/dev/zero', join(dir, 'rest')], { stdio: 'pipe' })).toThrow(
    'No space left',
  )

  using _held = lockVolume(dir)
  await new Ballast(join(dir, 'ballast')).releaseIfFull()
  await using store = openSqliteStore(file)
  expect(await store.changeAppSettings('shop', { builds: 2 })).toEqual({ builds: 2 })
})

/** Fills the folder to the last byte, and on request to the last file name. */
function fill(folder: string): void {
  for (const [name, size] of [
    ['rest', '1M'],
    ['more', '4k'],
    ['last', '512'],
  ])
    execFileSync('sh', [
      '-c',
      `dd if=/dev/zero of="$1" bs=${size} 2> /dev/null || true`,
      'sh',
      join(folder, name!),
    ])
}

/** Makes a small file system for a gateway's data. */
async function smallVolume(closing: AsyncDisposableStack, size: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-small-'))
  closing.defer(() => rm(dir, { recursive: true }))
  const data = join(dir, 'data')
  mkdirSync(data)
  execFileSync('truncate', ['-s', size, join(dir, 'disk')])
  execFileSync('mkfs.ext4', ['-q', '-m', '0', join(dir, 'disk')])
  execFileSync('mount', ['-o', 'loop', join(dir, 'disk'), data])
  closing.defer(() => void execFileSync('umount', [data]))
  return data
}

const settingsOf = (data: string) => ({
  TARMAC_DATA: data,
  TARMAC_PORT: '0',
  TARMAC_CONTEXT_PORT: '0',
  TARMAC_BUILDKIT: `unix://${data}/none`,
  TARMAC_BUILD_BRIDGE: '',
  TARMAC_PLAN_NETWORK: 'none',
  TARMAC_SECRETS_KEY: 'a'.repeat(64),
  TARMAC_DISK_LOW: '5',
  TARMAC_DISK_HIGH: '10',
})

test('on a full volume whose ballast is spent a gateway starts, reads, and says 507 where it must write', async () => {
  await using closing = new AsyncDisposableStack()
  const data = await smallVolume(closing, '100M')
  {
    await using gateway = await startGateway(readConfig(settingsOf(data)), openLog('silent'))
    const options = DeploymentOptions.parse({})
    await gateway.store.create({ id: 'd1', app: 'shop', options, source: null })
    await vi.waitFor(() => expect(existsSync(join(data, 'ballast-start/63'))).toBe(true), {
      timeout: 5000,
    })
  }
  for (let start = 0; start < 3; start++) {
    fill(data) // including what the previous start released
    const lines: string[] = []
    const log = openLog('error', { write: (line: string) => void lines.push(line) })
    await using gateway = await startGateway(readConfig(settingsOf(data)), log)
    const ask = async (method: string, path: string, body?: string) => {
      const headers = {
        'content-type': body?.startsWith('{') ? 'application/json' : 'application/octet-stream',
      }
      const answer = await fetch(gateway.url + path, {
        method,
        ...(body !== undefined && { body, headers }),
      })
      return { status: answer.status, text: await answer.text() }
    }
    for (let app = 0; app < 100; app++)
      await ask('PUT', `/v1/apps/app${start}-${app}/secrets/X`, 'x'.repeat(60_000))
    fill(data)
    const output = await Promise.all([
      ask('PUT', `/v1/apps/new${start}/secrets/Y`, 'y'.repeat(60_000)),
      ask('PATCH', `/v1/apps/other${start}`, '{"builds":3}'),
      ask('DELETE', `/v1/apps/app${start}-0/secrets/X`),
      ask('POST', '/v1/deployments/d1/cancel'),
      ask('POST', '/v1/deployments/d1/retry'),
      ask('POST', '/v1/apps/shop/rollback'),
      ask('POST', '/v1/apps/shop/deployments', '{"source":{"deployment":"d1"}}'),
      ask('POST', '/v1/rollouts', '{"source":{"deployment":"d1"},"targets":[{"app":"shop"}]}'),
      ask('PUT', '/deploy/shop?follow=false', 'no archive'),
      ask('DELETE', '/v1/apps/shop?confirm=shop'),
    ])
    expect(output[0]).toMatchObject({
      status: 507,
      text: expect.stringContaining('"code":"no-space"'),
    })
    expect(
      output.filter(({ status, text }) => status === 500 || text.includes('"code":"internal"')),
    ).toEqual([])
    for (const path of [
      '/healthz',
      '/v1/apps/shop',
      '/v1/apps/shop/deployments',
      '/v1/deployments/d1',
    ])
      expect([path, (await ask('GET', path)).status]).toEqual([path, 200])
    expect(lines.join('')).not.toContain('request failed')
  }
}, 60_000)

test('on a volume that has no file left to give a gateway starts', async () => {
  await using closing = new AsyncDisposableStack()
  const data = await smallVolume(closing, '100M')
  {
    await using _gateway = await startGateway(readConfig(settingsOf(data)), openLog('silent'))
    await vi.waitFor(() => expect(existsSync(join(data, 'ballast-start/63'))).toBe(true), {
      timeout: 5000,
    })
  }
  execFileSync(
    'sh',
    ['-c', 'mkdir many; cd many; seq 1 40000 | xargs touch 2> /dev/null || true'],
    { cwd: data },
  )
  expect(statfsSync(data).ffree).toBe(0)
  await using gateway = await startGateway(readConfig(settingsOf(data)), openLog('silent'))
  expect((await fetch(`${gateway.url}/v1/apps/shop/deployments`)).status).toBe(200)
})

test('a build daemon starts on a full disk with its old cache, and frees space', async () => {
  await using closing = new AsyncDisposableStack()
  const data = await smallVolume(closing, '200M')
  const [cache, port] = [join(data, 'buildkit'), 6543]
  const scratch = await mkdtemp(join(tmpdir(), 'tarmac-scratch-'))
  closing.defer(() => rm(scratch, { recursive: true }))
  closing.use(await startRegistry({ dir: scratch, port }))
  const bridge = await pickBridge(scratch)
  const settings = {
    command: tools.buildkitd,
    dir: data,
    root: cache,
    bridge,
    nameservers: [],
    mirrors: {},
  }
  const more = {
    plainHttp: [`127.0.0.1:${port}`],
    steps: 4,
    limits,
    stepLogBytes: 2 ** 20,
    cache: cacheLimits,
  }
  const images = { allowed: [], frontends: [], own: '', refreshMs: 0 }
  const about = { contextPort: 0, key: Buffer.from('key'), loginFor: () => null, images }
  const steps = [step('say', 'kept', 'fill', '10')]
  {
    await using daemon = await Daemon.start({ ...settings, ...more }, openLog('silent'))
    await using buildkit = await Buildkit.open({ ...about, address: daemon.address })
    const builds = await stepBuilds(scratch, buildkit, `127.0.0.1:${port}`)
    expect((await builds.solve(steps)).stats.run).toBeGreaterThan(0)
    await rm(join(scratch, 'source'), { recursive: true })
  }
  fill(data)
  expect(statfsSync(data).bavail).toBe(0)

  await using daemon = await Daemon.start({ ...settings, ...more }, openLog('silent'))
  await using buildkit = await Buildkit.open({ ...about, address: daemon.address })
  for (const name of ['rest', 'more', 'last']) await rm(join(data, name))
  const builds = await stepBuilds(scratch, buildkit, `127.0.0.1:${port}`)
  const events: NewEvent[] = []
  await builds.solve(steps, undefined, events)
  expect(logText(events)).not.toContain('kept') // it comes from the cache

  fill(data)
  await buildkit.cache.prune({ minFreeBytes: 2e6 })
  expect(statfsSync(data).bavail).toBeGreaterThan(0)
}, 60_000)
