import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { NewEvent } from '../../api/event.ts'
import { Daemon } from '../../gateway/src/buildkit/daemon/daemon.ts'
import { Buildkit } from '../../gateway/src/buildkit/client.ts'
import { openLog } from '../../gateway/src/log.ts'
import { LogWriter } from '../../gateway/src/pipeline/log-writer.ts'
import { pickBridge } from '../../lab/parts/bridge.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { tools } from '../../lab/ready.ts'
import { cacheLimits, limits, logText, problemOf, step, stepBuilds } from './step-source.ts'

const registryPort = 6561
const mebibyte = 2 ** 20
const open = new AsyncDisposableStack()
let daemon: Daemon
let builds: Awaited<ReturnType<typeof stepBuilds>>

beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-step-output-'))
  open.defer(() => rm(dir, { recursive: true, force: true }))
  open.use(await startRegistry({ dir, port: registryPort }))
  const bridge = await pickBridge(dir)
  const plainHttp = [`127.0.0.1:${registryPort}`]
  const settings = {
    command: tools.buildkitd,
    dir,
    root: join(dir, 'buildkit'),
    bridge,
    nameservers: [],
    mirrors: {},
  }
  const more = { plainHttp, steps: 4, limits, stepLogBytes: 16 * mebibyte, cache: cacheLimits }
  daemon = open.use(await Daemon.start({ ...settings, ...more }, openLog('silent')))
  const about = {
    address: daemon.address,
    contextPort: 0,
    key: Buffer.from('key'),
    loginFor: () => null,
  }
  const images = { allowed: [], frontends: [], own: '', refreshMs: 0 }
  const buildkit = open.use(await Buildkit.open({ ...about, images }))
  builds = await stepBuilds(dir, buildkit, plainHttp[0]!)
})
afterAll(() => open.disposeAsync())

/** Runs a build, and keeps the log as a deployment does. */
async function failing(...args: string[]) {
  const written: NewEvent[] = []
  const append = (events: NewEvent[]) => Promise.resolve(written.push(...events))
  const logLimits = { stepBytes: 4 * mebibyte, allBytes: 32 * mebibyte, tailBytes: 64 * 1024 }
  const writer = new LogWriter(append, [], { limits: logLimits })
  const failure = await problemOf(
    builds.solve([step(...args)], AbortSignal.timeout(100_000), {
      push: (event) => writer.emit(event),
    }),
  )
  await writer.flush()
  return { written, problem: writer.redactedProblem(failure.body()) }
}

const peakBytes = async (pid: number) =>
  Number(/VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))![1]) * 1024

/** The lines that the flood did not print. */
const oddLines = (lines: string[]) =>
  lines.slice(1, -1).filter((line) => !/^\d{10} x{88}$/.test(line))

/** Blocks the event loop most of the time, as a heavy load does. */
function holdTheLoop() {
  const timer = setInterval(() => {
    for (const until = performance.now() + 40; performance.now() < until;);
  }, 5)
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

test('the last lines of a step are kept, however much it has printed before them, and the daemon holds little of it', async () => {
  const before = await peakBytes(daemon.pid)
  const { written, problem } = await failing(
    'say',
    'the beginning',
    'flood',
    '100',
    'say',
    'the reason',
    'exit',
    '1',
  )
  expect(problem).toMatchObject({ code: 'build-failed' })
  expect((problem['lastLines'] as string[]).at(-1)).toBe('the reason')

  const text = logText(written)
  expect(text.slice(0, 26)).toBe('the beginning\n0000000000 x')
  expect(text.slice(-111)).toBe(`\n0000999999 ${'x'.repeat(88)}\nthe reason`)
  // Nothing is missing except what the log reports as missing.
  const dropped = written.filter((event) => event.type === 'dropped')
  const kept = text.split('\n')
  const missing = dropped.reduce((sum, { lines }) => sum + lines, 0)
  expect({ lines: kept.length + missing, odd: oddLines(kept) }).toEqual({
    lines: 1_000_002,
    odd: [],
  })
  expect(((await peakBytes(daemon.pid)) - before) / mebibyte).toBeLessThan(90)
})

test('a gateway with hardly any time to read loses nothing of a flood beyond what it reports', async () => {
  using _ = holdTheLoop()
  const { written, problem } = await failing(
    'say',
    'the beginning',
    'flood',
    '5',
    'say',
    'the reason',
    'exit',
    '1',
  )
  expect((problem['lastLines'] as string[]).at(-1)).toBe('the reason')

  const kept = logText(written).split('\n')
  const missing = written.reduce(
    (sum, event) => sum + (event.type === 'dropped' ? event.lines : 0),
    0,
  )
  expect({ lines: kept.length + missing, odd: oddLines(kept) }).toEqual({ lines: 50_002, odd: [] })
  const ends = written.findIndex((event) => event.type === 'step' && event.status === 'failed')
  expect(written.slice(ends).filter(({ type }) => type === 'log')).toEqual([])
})

test('our own note of missing output counts as text when a step prints it', async () => {
  const note = '[tarmac: 7 lines, 900 bytes of output are not kept here]'
  const { written } = await failing('say', note, 'exit', '1')
  expect(logText(written)).toBe(note)
  expect(written.filter(({ type }) => type === 'dropped')).toEqual([])
})

test('a short output is shown as printed', async () => {
  const events: NewEvent[] = []
  const solved = builds.solve(
    [step('say', 'early', 'sleep', '3', 'say', 'late')],
    AbortSignal.timeout(60_000),
    events,
  )
  await expect.poll(() => logText(events), { timeout: 20_000, interval: 20 }).toContain('early')
  expect(logText(events)).not.toContain('late')
  await solved
  expect(logText(events)).toBe('early\nlate')
})
