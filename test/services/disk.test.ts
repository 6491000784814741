import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { mkdirSync, statfsSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { NewEvent } from '../../api/event.ts'
import { Problem } from '../../api/problem.ts'
import { Daemon } from '../../gateway/src/buildkit/daemon.ts'
import { Buildkit } from '../../gateway/src/buildkit/solve.ts'
import { Ballast } from '../../gateway/src/host/ballast.ts'
import { DiskWatch } from '../../gateway/src/host/disk-watch.ts'
import { openLog } from '../../gateway/src/log.ts'
import { whileAway } from '../../gateway/src/pipeline/while-away.ts'
import { withinRoom } from '../../gateway/src/pipeline/within-room.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { lockVolume } from '../../gateway/src/store/volume-lock.ts'
import { pickBridge } from '../../lab/parts/bridge.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { tools } from '../../lab/ready.ts'
import { limits, logText, problemOf, step, stepBuilds } from './step-source.ts'

const registryPort = 6541
const open = new AsyncDisposableStack()
let root: string
let prunes = 0
let disk: DiskWatch
let builds: Awaited<ReturnType<typeof stepBuilds>>

/** A daemon whose cache lies on a file system of 300 MB. */
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
  const settings = { command: tools.buildkitd, dir, root, bridge: await pickBridge(dir), nameservers: [], mirrors: {} }
  const more = { plainHttp: [`127.0.0.1:${registryPort}`], steps: 4, limits, stepLogBytes: 2 ** 20 }
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
    return buildkit.prune(freeBytes)
  }
  const makeMoreRoom = async (freeBytes: number) => {
    if ((await buildkit.heldBytes(AbortSignal.timeout(5000))) === 0) return
    await daemon.restart()
    await makeRoom(freeBytes)
  }
  disk = open.use(
    await DiskWatch.open({ folder: root, low: { share: 0.2 }, high: { share: 0.3 }, makeRoom, makeMoreRoom, log }),
  )
  builds = await stepBuilds(dir, buildkit, `127.0.0.1:${registryPort}`)
}, 60_000)
afterAll(() => open.disposeAsync())

const freeMb = () => (statfsSync(root).bfree * statfsSync(root).bsize) / 2 ** 20

const solve = (steps: string[], signal = AbortSignal.timeout(60_000), events: NewEvent[] = []) =>
  withinRoom(
    disk,
    (event) => void events.push(event),
    (tell, limited) => builds.solve(steps, limited, { push: tell }),
    signal,
  )
/** A build as the pipeline does it. */
function build(steps: string[], events: NewEvent[] = []) {
  const signal = AbortSignal.timeout(90_000)
  return whileAway(
    () => solve(steps, signal, events),
    60_000, // the default of TARMAC_AWAY_TIMEOUT
    (event) => void events.push(event),
    signal,
  )
}

test(
  'a disk that was filled twenty times has room again, and every build after it is right',
  { timeout: 240_000 },
  async () => {
    for (let round = 0; round < 20; round++) {
      const fill = [step('say', `round ${round}`, 'fill', String(round % 4 ? 120 : 400))]
      // Every fourth is larger than the disk; the others leave caches until it is short.
      if (round % 4) await build(fill)
      else {
        const failure = await problemOf(solve(fill))
        expect(failure.body()).toMatchObject({ code: 'no-space', status: 507, retry: true })
      }
      const events: NewEvent[] = []
      const { digest } = await build([step('say', `after ${round}`, 'fill', '10'), step('say', 'and right')], events)
      expect(digest).toMatch(/^sha256:/)
      expect(logText(events)).toMatch(new RegExp(`after ${round}\\nand right$`))
      const manifest = await fetch(`http://127.0.0.1:${registryPort}/v2/app/manifests/one`, {
        headers: { accept: 'application/vnd.oci.image.manifest.v1+json' },
      })
      expect(manifest.headers.get('docker-content-digest')).toBe(digest)
      for (const { digest } of ((await manifest.json()) as { layers: { digest: string }[] }).layers) {
        const blob = await fetch(`http://127.0.0.1:${registryPort}/v2/app/blobs/${digest}`)
        expect(`sha256:${hash('sha256', Buffer.from(await blob.arrayBuffer()))}`).toBe(digest)
      }
    }
    expect(prunes).toBeGreaterThan(10)
  },
)

test('below the low mark nothing new is taken, and it is said; with room made all is well again', async () => {
  await disk.makeRoom(0.9)
  execFileSync('fallocate', ['-l', `${Math.floor(freeMb() - 40)}M`, join(root, 'foreign')])
  await vi.waitFor(() => expect(() => disk.assertRoom()).toThrow(Problem), { timeout: 3000 })
  expect(disk.state()).toEqual({
    ok: false,
    detail: expect.stringMatching(/^\d+ MB of \d+ MB free; nothing new is taken until/),
  })
  const failure = await problemOf(disk.settled(AbortSignal.timeout(5000)))
  expect(failure.body()).toMatchObject({ code: 'no-space', retryAfterSeconds: 30 })
  await rm(join(root, 'foreign'))
  await vi.waitFor(() => disk.assertRoom(), { timeout: 3000 })
  expect(disk.state().ok).toBe(true)
})

test('a step that has nearly filled the disk is stopped before nothing is left', async () => {
  await disk.makeRoom(0.9)
  await vi.waitFor(() => disk.assertRoom(), { timeout: 3000 })
  const failure = await problemOf(solve([step('fill', String(Math.floor(freeMb() - 12)), 'sleep', '600')]))
  expect(failure.code).toBe('no-space')
  expect(() => execFileSync('pgrep', ['-f', '/step fill .* sleep 600'])).toThrow('Command failed')
  await vi.waitFor(() => disk.assertRoom(), { timeout: 20_000 })
})

test('on a volume without a byte of room a start gets at the records, by way of the room that was set aside', async () => {
  await using closing = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-full-'))
  closing.defer(() => rm(dir, { recursive: true }))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=80M', 'tmpfs', dir])
  closing.defer(() => void execFileSync('umount', [dir]))
  const file = join(dir, 'tarmac.db')
  lockVolume(dir)[Symbol.dispose]()
  await openSqliteStore(file)[Symbol.asyncDispose]()
  writeFileSync(join(dir, 'ballast'), Buffer.alloc(64 * 2 ** 20))
  expect(() => execFileSync('cp', ['/dev/zero', join(dir, 'rest')], { stdio: 'pipe' })).toThrow('No space left')

  using _held = lockVolume(dir)
  await new Ballast(join(dir, 'ballast')).releaseIfFull()
  await using store = openSqliteStore(file)
  expect(await store.changeAppSettings('shop', { builds: 2 })).toEqual({ builds: 2 })
})
