import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { NewEvent } from '../../api/event.ts'
import { Problem } from '../../api/problem.ts'
import { Daemon } from '../../gateway/src/buildkit/daemon/daemon.ts'
import { groupOf, limitsEnvironment } from '../../gateway/src/buildkit/daemon/step-limits.ts'
import { Buildkit } from '../../gateway/src/buildkit/client.ts'
import { supervise } from '../../gateway/src/host/child/supervised-process.ts'
import { openLog } from '../../gateway/src/log.ts'
import { retryWhileUnavailable } from '../../gateway/src/pipeline/retry-unavailable.ts'
import { pickBridge, type Bridge } from '../../lab/parts/bridge.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { tools } from '../../lab/ready.ts'
import { cacheLimits, limits, logText, notes, problemOf, step, stepBuilds } from './step-source.ts'

const registryPort = 6531
const open = new AsyncDisposableStack()
let dir: string
let bridge: Bridge
let daemon: Daemon
let builds: Awaited<ReturnType<typeof stepBuilds>>

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-daemon-'))
  open.defer(() => rm(dir, { recursive: true, force: true }))
  open.use(await startRegistry({ dir, port: registryPort }))
  bridge = await pickBridge(dir)
  daemon = open.use(await startDaemon())
  const about = {
    address: daemon.address,
    contextPort: 0,
    key: Buffer.from('key'),
    loginFor: () => null,
    images: { allowed: [], frontends: [], own: '', refreshMs: 0 },
  }
  const buildkit = open.use(await Buildkit.open(about))
  builds = await stepBuilds(dir, buildkit, `127.0.0.1:${registryPort}`)
})
afterAll(() => open.disposeAsync())

function startDaemon() {
  const settings = {
    command: tools.buildkitd,
    dir,
    root: join(dir, 'buildkit'),
    bridge,
    nameservers: [],
    mirrors: {},
  }
  const more = {
    plainHttp: [`127.0.0.1:${registryPort}`],
    steps: 4,
    limits,
    stepLogBytes: 8 * 2 ** 20,
    cache: cacheLimits,
    look: { everyMs: 1000, answerMs: 6000, misses: 3 },
  }
  return Daemon.start({ ...settings, ...more }, openLog('silent'))
}
/** Returns the step processes whose arguments contain this text. */
function running(args: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        return line.startsWith(`/busybox\0sh\0/step\0${args.replaceAll(' ', '\0')}`)
      } catch {
        return false
      }
    })
    .map(Number)
}
/** A quiet machine takes a fraction of a second. The limit is for a busy one. */
const soon = (check: () => void, timeout = 20_000) => vi.waitFor(check, { timeout, interval: 50 })
const cancelled = new Problem('cancelled', 'Asked for.')

test('a daemon that hangs is killed and restarted', async () => {
  const hung = daemon.pid
  process.kill(hung, 'SIGSTOP')
  await soon(() => expect(daemon.pid).not.toBe(hung), 90_000)
  const signal = AbortSignal.timeout(60_000)
  const solved = retryWhileUnavailable(
    () => builds.solve([step('say', 'after all')], signal, []),
    30_000,
    () => {},
    signal,
  )
  expect((await solved).digest).toMatch(/^sha256:/)
})

test('a daemon that is killed during a build is restarted, and the build resumes', async () => {
  const events: NewEvent[] = []
  const signal = AbortSignal.timeout(60_000)
  const steps = [step('say', 'kept'), step('say', 'going on', 'sleep', '3', 'say', 'over')]
  const emit = (event: NewEvent) => void events.push(event)
  const solved = retryWhileUnavailable(
    () => builds.solve(steps, signal, events),
    30_000,
    emit,
    signal,
  )
  await soon(() => expect(logText(events)).toContain('going on'))
  const killed = daemon.pid
  const orphans = running('say going on')
  process.kill(killed, 'SIGKILL')
  expect((await solved).digest).toMatch(/^sha256:/)
  expect(daemon.pid).not.toBe(killed)
  expect(running('say going on').filter((pid) => orphans.includes(pid))).toEqual([])
  expect(logText(events)).toMatch(/going on[^]*going on\nover/)
  expect(events).toContainEqual({
    type: 'warning',
    text: expect.stringContaining('Trying again in'),
  })
})

/** Reports whether the step has the daemon's trace socket. */
const looksForSocket = (round: string) =>
  `RUN ["/busybox", "sh", "-c", "[ -S /dev/otel-grpc.sock ] && echo found ${round} || echo none ${round}"]`

test('no step ever finds the daemon’s trace socket, however soon after a start it runs', async () => {
  for (let round = 0; round < 3; round++) {
    const events: NewEvent[] = []
    const killed = daemon.pid
    process.kill(killed, 'SIGKILL')
    await soon(() => expect(daemon.pid).not.toBe(killed), 10_000)
    for (const from = performance.now(); ;) {
      if (performance.now() - from > 30_000) throw new Error('the daemon did not come back')
      const solved = await builds
        .solve([looksForSocket(`${round}`)], AbortSignal.timeout(30_000), events)
        .catch(() => null)
      if (solved) break
      await wait(20)
    }
    expect(logText(events)).toBe(`none ${round}`)
  }
})

test.each([
  ['rights of its own', 'RUN --security=insecure', /insecure/],
  ['the network of the machine', 'RUN --network=host', /network\.host/],
  ['a device', 'RUN --device=vendor.com/device=all', /device/],
])('a step that asks for %s is refused', async (_, run, words) => {
  const failure = await problemOf(builds.solve([step('say', 'before').replace('RUN', run)]))
  expect(failure.code).toBe('build-failed')
  expect(failure.message).toMatch(words)
})

test('a step shared by two builds continues when one is cancelled, and ends with the last of them', async () => {
  const steps = [step('say', 'shared', 'sleep', '600')]
  const [first, second] = [new AbortController(), new AbortController()]
  const events: NewEvent[] = []
  const failures = [first, second].map(({ signal }) =>
    problemOf(builds.solve(steps, signal, events)),
  )
  await soon(() => expect(running('say shared')).toHaveLength(1))
  await wait(300) // both share it by now
  first.abort(cancelled)
  expect((await failures[0]!).code).toBe('cancelled')
  await wait(1000)
  expect(running('say shared')).toHaveLength(1)

  second.abort(cancelled)
  await soon(() => expect(running('say shared')).toEqual([]))
  expect((await failures[1]!).code).toBe('cancelled')
})

test('a build that is cancelled at any point leaves no process', async () => {
  for (let round = 0; round < 12; round++) {
    const cancel = new AbortController()
    const name = `cancelled-${round}`
    const solved = problemOf(
      builds.solve(
        [step('say', name, 'fill', '5'), step('say', name, 'sleep', '600')],
        cancel.signal,
      ),
    )
    await wait(round * 60)
    cancel.abort(cancelled)
    expect((await solved).code).toBe('cancelled')
    await soon(() => expect(running('say cancelled-')).toEqual([]))
  }
})

test('a step without end is stopped by the time limit, and the log names the limit', async () => {
  const late = new AbortController()
  const events: NewEvent[] = []
  const failure = problemOf(
    builds.solve([step('say', 'endless', 'sleep', '600')], late.signal, events),
  )
  await soon(() => expect(logText(events)).toContain('endless'))
  late.abort(new Problem('time-limit', 'The build took longer than 1 s.'))
  expect((await failure).body()).toMatchObject({
    code: 'time-limit',
    step: expect.stringContaining('endless'),
    detail: expect.stringContaining('It was at the step'),
  })
  await soon(() => expect(running('say endless')).toEqual([]))
  expect(notes(events)).toEqual([expect.stringMatching(/^Stopped while this ran: .*endless/)])
})

test('a step that prints 50 MB/s neither blocks the build nor grows memory, and the log says what is missing', async () => {
  const events: NewEvent[] = []
  await builds.solve([step('say', 'warm')])
  const before = process.memoryUsage().rss
  let most = 0
  const watching = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 50)
  const from = process.cpuUsage()
  await builds.solve(
    [step('flood', '150', 'say', 'the last line')],
    AbortSignal.timeout(60_000),
    events,
  )
  clearInterval(watching)
  const { user, system } = process.cpuUsage(from)
  expect((user + system) / 1e6).toBeLessThan(10) // seconds of this process, which reads the output
  expect(most - before).toBeLessThan(100e6)
  expect(logText(events).length).toBeLessThan(9 * 2 ** 20)
  expect(logText(events)).toMatch(/\nthe last line$/)
  const dropped = events.flatMap((event) => (event.type === 'dropped' ? [event.bytes] : []))
  expect(logText(events).length + dropped[0]!).toBeGreaterThan(150e6)
})

test('a failed step that printed too much still shows its last lines', async () => {
  const events: NewEvent[] = []
  const steps = [step('flood', '30', 'say', 'the reason', 'exit', '3')]
  const failure = await problemOf(builds.solve(steps, AbortSignal.timeout(60_000), events))
  expect(failure.facts).toMatchObject({ exitCode: 3 })
  expect(logText(events)).toMatch(/\nthe reason$/)
})

test('a daemon that is stopped last leaves nothing behind, even after a kill during a build', async () => {
  const failure = problemOf(builds.solve([step('say', 'left', 'sleep', '600')]))
  await soon(() => expect(running('say left')).toHaveLength(1))
  process.kill(daemon.pid, 'SIGKILL')
  expect((await failure).code).toBe('buildkit-unavailable')

  await daemon[Symbol.asyncDispose]()
  expect(running('say left')).toEqual([])
  expect(execFileSync('runc', ['list'], { encoding: 'utf8' }).includes(dir)).toBe(false)
  expect(readFileSync('/proc/self/mountinfo', 'utf8').includes(`${dir}/buildkit`)).toBe(false)
  expect(existsSync(`/sys/fs/cgroup/memory/${groupOf(join(dir, 'buildkit'))}`)).toBe(false)
  expect(existsSync(join(dir, 'buildkitd.sock'))).toBe(false)
  expect(execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' }).includes(bridge.name)).toBe(false)
  expect(execFileSync('iptables-save', { encoding: 'utf8' }).includes(bridge.subnet)).toBe(false)

  const reserved = readdirSync('/var/lib/cni/networks/buildkit')
  expect(
    reserved.filter((address) => address.startsWith(bridge.subnet.replace(/0\/24$/, ''))),
  ).toEqual([])
})

test('a daemon that an earlier gateway left running is stopped before a new one starts', async () => {
  const args = ['--config', join(dir, 'buildkitd.toml')]
  const env = {
    PATH: `${tools.dir}:${process.env['PATH']}`,
    ...limitsEnvironment(limits, join(dir, 'buildkit')),
  }
  mkdirSync(join(dir, 'left'))
  const left = await supervise({
    command: tools.buildkitd,
    args,
    env,
    record: join(dir, 'buildkitd.json'),
  })
  await soon(() => expect(existsSync(join(dir, 'buildkitd-first.sock'))).toBe(true), 10_000)
  // The control: a step finds the trace socket of a daemon when nobody removed it.
  const about = { contextPort: 0, key: Buffer.from('key'), loginFor: () => null }
  const images = { allowed: [], frontends: [], own: '', refreshMs: 0 }
  const address = `unix://${join(dir, 'buildkitd-first.sock')}`
  await using buildkit = await Buildkit.open({ ...about, address, images })
  const events: NewEvent[] = []
  const own = await stepBuilds(join(dir, 'left'), buildkit, `127.0.0.1:${registryPort}`)
  await own.solve([looksForSocket('left')], AbortSignal.timeout(30_000), events)
  expect(logText(events)).toMatch(/found left$/)

  await using again = await startDaemon()
  expect(again.pid).not.toBe(left.pid)
  expect(existsSync(`/proc/${left.pid}`)).toBe(false)
})
