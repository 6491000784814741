import { readFileSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { NewEvent } from '../../api/event.ts'
import { Problem } from '../../api/problem.ts'
import { Daemon } from '../../gateway/src/buildkit/daemon/daemon.ts'
import { Buildkit } from '../../gateway/src/buildkit/client.ts'
import { openLog } from '../../gateway/src/log.ts'
import { pickBridge } from '../../lab/parts/bridge.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { tools } from '../../lab/ready.ts'
import { cacheLimits, logText, problemOf, stepBuilds } from './step-source.ts'

const registryPort = 6571
const limits = {
  memory: { bytes: 256 * 2 ** 20 },
  memoryOfAll: { bytes: 300 * 2 ** 20 },
  processes: 200,
  cpus: 0.5,
}
const open = new AsyncDisposableStack()
let dir: string
let daemon: Daemon
let daemonPid: number
let builds: Awaited<ReturnType<typeof stepBuilds>>

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-limits-'))
  open.defer(() => rm(dir, { recursive: true, force: true }))
  open.use(await startRegistry({ dir, port: registryPort }))
  const root = join(dir, 'buildkit')
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
    stepLogBytes: 8 * 2 ** 20,
    cache: cacheLimits,
  }
  daemon = open.use(await Daemon.start({ ...settings, ...more }, openLog('silent')))
  daemonPid = daemon.pid
  const about = {
    address: daemon.address,
    contextPort: 0,
    key: Buffer.from('key'),
    loginFor: () => null,
    images: { allowed: [], frontends: [], own: '', refreshMs: 0 },
    root,
  }
  const buildkit = open.use(await Buildkit.open(about))
  builds = await stepBuilds(dir, buildkit, `127.0.0.1:${registryPort}`)
})
afterAll(() => open.disposeAsync())
afterEach(() => expect(daemon.pid).toBe(daemonPid))

let count = 0
/** A step in busybox's shell that never comes from the cache. */
const shell = (script: string) =>
  `RUN ${JSON.stringify(['/busybox', 'sh', '-c', `: ${(count += 1)}\nb=/busybox\n${script}`])}`
const honest = () =>
  shell(
    'i=0; while [ $i -lt 50 ]; do $b true; i=$((i+1)); done; $b dd if=/dev/zero of=/dev/null bs=1M count=500 2>&1',
  )

/**
 * CAP_SYS_RESOURCE: the kernel lets a process without it lower an OOM score again that a root
 * without it had raised.
 */
const mayKeepScores =
  (BigInt(`0x${/^CapEff:\s+(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]}`) >> 24n) &
  1n

/** Runs a step that must fail, beside an honest build that must not. */
async function beside(
  script: string,
): Promise<{ problem: ReturnType<Problem['body']>; log: string }> {
  const events: NewEvent[] = []
  const failed = problemOf(builds.solve([shell(script)], AbortSignal.timeout(90_000), events))
  await vi.waitFor(() => expect(logText(events)).toContain('begun'), {
    timeout: 30_000,
    interval: 50,
  })
  expect((await builds.solve([honest()], AbortSignal.timeout(60_000))).digest).toMatch(/^sha256:/)
  return { problem: (await failed).body(), log: logText(events) }
}

test('a step has limits on memory, processes and CPUs and a higher OOM score than the daemon, and logs none of them', async () => {
  const events: NewEvent[] = []
  const tries = `for file in memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us memory.max memory.swap.max memory.oom.group pids.max cpu.max; do
    [ ! -r /sys/fs/cgroup/$file ] || echo "$file $($b cat /sys/fs/cgroup/$file)"; done
    echo "score $($b cat /proc/self/oom_score_adj)"; echo 0 2>/dev/null > /proc/self/oom_score_adj; echo "then $($b cat /proc/self/oom_score_adj)"; echo words >&2`
  await builds.solve([shell(tries)], AbortSignal.timeout(60_000), events)
  const v2 = ['memory.max 268435456', 'memory.oom.group 1', 'pids.max 200', 'cpu.max 50000 100000']
  const v1 = [
    'memory/memory.limit_in_bytes 268435456',
    'memory/memory.memsw.limit_in_bytes 268435456',
    'pids/pids.max 200',
    'cpu/cpu.cfs_quota_us 50000',
  ]
  const log = logText(events).split('\n')
  expect(log).toEqual(
    expect.arrayContaining(log.some((line) => line.startsWith('memory.max')) ? v2 : v1),
  )
  const score = (pid: number | string) => Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'))
  expect(log).toContain(`score ${score('self') + 500}`)

  if (mayKeepScores) expect(log).toContain(`then ${score('self') + 500}`)
  expect(score(daemon.pid)).toBe(score('self'))
  expect(log).toContain('words')
  expect(log.filter((line) => line.includes('tarmac'))).toEqual([])
})

test.each([
  ['one process', 'exec $b tail /dev/zero'],
  ['many processes together', 'for i in 1 2 3 4 5 6 7 8; do $b tail /dev/zero & done; wait'],
  ['processes that are started again and again', 'while :; do $b tail /dev/zero; done'],
  [
    'files in memory',
    'for i in 1 2 3 4 5 6 7 8; do $b mkdir -p /m/$i; done; $b dd if=/dev/zero of=/dev/shm/a bs=1M; $b tail /dev/zero',
  ],
])('a step whose %s need too much memory fails alone, and says so', async (_, script) => {
  const { problem } = await beside(`echo begun; $b sleep 0.5; ${script}`)
  expect(problem).toMatchObject({
    code: 'build-failed',
    fault: 'source',
    outOfMemory: true,
    memoryLimitBytes: 2 ** 28,
  })
  expect(problem.detail).toContain('the step used more than 256 MiB of memory')
})

test('a file system in memory counts as memory of its step', async () => {
  const events: NewEvent[] = []
  const script = 'echo begun; $b dd if=/dev/zero of=/m/a bs=1M count=300'
  const hog = shell(script).replace('RUN ', 'RUN --mount=type=tmpfs,target=/m ')
  const problem = (await problemOf(builds.solve([hog], AbortSignal.timeout(60_000), events))).body()
  expect(problem).toMatchObject({ code: 'build-failed', outOfMemory: true })
})

test('steps that together need more than all may are ended one by one, and it is said that it was all together', async () => {
  const script = '$b head -c 200m /dev/zero | $b tail -c 200m | $b sleep 60'
  const over = new AbortController()
  const steps = [1, 2].map(() => problemOf(builds.solve([shell(script)], over.signal)))
  const problem = await Promise.race(steps)
  over.abort(new Problem('cancelled', 'One of them has ended.'))
  expect(problem.body()).toMatchObject({
    code: 'build-failed',
    outOfMemory: true,
    memoryLimitBytes: 300 * 2 ** 20,
  })
  expect(problem.message).toContain('all build steps together used more than 300 MiB of memory')
  await Promise.all(steps)
})

test.each([
  ['forks without end', 'bomb() { bomb | bomb & bomb; }; bomb'],
  [
    'starts as many processes as it can',
    'i=0; while [ $i -lt 500 ]; do $b sleep 30 & i=$((i+1)); done',
  ],
])('a step that %s fails alone, and says how many processes it may have', async (_, script) => {
  const { problem } = await beside(`echo begun; $b sleep 0.5; ${script}`)
  expect(problem).toMatchObject({ code: 'build-failed', fault: 'source', processLimit: 200 })
  expect(problem.detail).toContain('the step may have 200 processes and threads at once')
})

test('a step that computes without end gets no more CPU than it may, and an honest build goes on beside it', async () => {
  const events: NewEvent[] = []
  const used =
    '$b cat /sys/fs/cgroup/cpuacct/cpuacct.usage /sys/fs/cgroup/cpu.stat 2>/dev/null | $b head -n 1'
  const now = '$b cut -d " " -f 1 /proc/uptime'
  const script = `for i in 1 2 3 4; do while :; do :; done & done; echo begun
    from="$(${used}) $(${now})"; $b sleep 4; echo "used $from $(${used}) $(${now})"`
  const hog = builds.solve([shell(script)], AbortSignal.timeout(60_000), events)
  await vi.waitFor(() => expect(logText(events)).toContain('begun'), {
    timeout: 30_000,
    interval: 50,
  })
  await builds.solve([honest()], AbortSignal.timeout(60_000))
  await hog
  const words = /used (.*)/.exec(logText(events))![1]!
  const [from, begun, to, ended] = words.match(/[\d.]+/g)!.map(Number) as [
    number,
    number,
    number,
    number,
  ]
  const perSecond = words.includes('usage_usec') ? 1e6 : 1e9 // units of cgroup v2 and v1
  const cpus = (to - from) / perSecond / (ended - begun)
  expect(cpus).toBeGreaterThan(0.05)
  expect(cpus).toBeLessThan(0.6) // it may use half of one CPU
})

test('a step that fails by itself is not reported to have reached a limit', async () => {
  const problem = (await problemOf(builds.solve([shell('exit 137')]))).body()
  expect(problem).toMatchObject({ code: 'build-failed', exitCode: 137 })
  expect(problem).not.toHaveProperty('outOfMemory')
})

test('a step that fails while another is out of memory is not reported to have used too much', async () => {
  const hogs: NewEvent[] = []
  const hog = problemOf(
    builds.solve([shell('$b sleep 1; exec $b tail /dev/zero')], AbortSignal.timeout(60_000), hogs),
  )
  const neighbour = problemOf(builds.solve([shell('$b sleep 6; exit 137')]))
  expect((await hog).body()).toMatchObject({ outOfMemory: true })
  const problem = (await neighbour).body()
  expect(problem).toMatchObject({ code: 'build-failed', exitCode: 137 })
  expect(problem).not.toHaveProperty('outOfMemory')
  expect(problem.detail).not.toContain('memory')
})

test('the limits of ended steps leave nothing behind', async () => {
  await vi.waitFor(
    () => expect(groups().filter((name) => name.includes('/buildkit/'))).toEqual([]),
    { timeout: 5000 },
  )
  await daemon[Symbol.asyncDispose]()
  expect(groups()).toEqual([])
})

/** The control groups of this daemon's steps, in every tree. */
function groups(): string[] {
  const [, name] = /defaultCgroupParent = "(.*)"/.exec(
    readFileSync(join(dir, 'buildkitd.toml'), 'utf8'),
  )!
  const trees = [
    ...readFileSync('/proc/self/mounts', 'utf8').matchAll(/^\S+ (\S+) cgroup2? /gm),
  ].map(([, tree]) => tree!)
  return trees.flatMap((tree) => {
    try {
      return readdirSync(join(tree, name!), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name))
        .concat(join(tree, name!))
    } catch {
      return []
    }
  })
}
