import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MarkedOutput } from '../../../../gateway/src/buildkit/steps/marked-output.ts'
import {
  runcWithOutputLimit,
  stepOutputEnv,
} from '../../../../gateway/src/buildkit/daemon/step-output.ts'

let dir: string
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'tarmac-runc-'))))
afterAll(() => rm(dir, { recursive: true }))

const key = '0b5c5f0e-3f3a-4f0e-9d0a-5d9e0f1c2b3a'
type Lost = { lines: number; bytes: number }

/** Runs it with a script in place of runc. */
async function run(
  script: string,
  headBytes: number,
  args = ['--log', 'x', 'run', '--bundle', 'b', 'id'],
  more = {},
) {
  await writeFile(join(dir, 'buildkit-runc'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  const env = {
    ...stepOutputEnv(headBytes),
    PATH: `${dir}:/usr/bin:/bin`,
    TARMAC_STEP_OUTPUT_KEY: key,
    ...more,
  }
  const { status, stdout, stderr } = spawnSync(runcWithOutputLimit, args, {
    env,
    maxBuffer: 2 ** 26,
  })
  return { status, stdout: stdout.toString('latin1'), stderr: stderr.toString('latin1') }
}

/** Runs a step, and reads its output as the gateway does. */
async function output(...args: Parameters<typeof run>) {
  const { status, stdout, stderr } = await run(...args)
  expect(stdout).toBe('')
  const marked = new MarkedOutput(key)
  const found = { status, all: '', stdout: '', stderr: '', before: '', lost: null as Lost | null }
  for (const part of marked.parts(Buffer.from(stderr, 'latin1'))) {
    if ('lost' in part) {
      found.lost = part.lost
      found.before = found.all
    } else {
      found[part.stream] += part.bytes.toString('latin1')
      found.all += part.bytes.toString('latin1')
    }
  }
  expect(marked.ended).toBe(true)
  return { ...found, after: found.all.slice(found.before.length), sentBytes: stderr.length }
}
const kibibyte = 1024
const lines = (count: number) =>
  `awk 'BEGIN { for (i = 0; i < ${count}; i++) printf "%09d\\n", i }'`

test('the output of a step below the limit is passed on, with the exit code', async () => {
  const found = await output(`${lines(1000)}; echo wrong >&2; echo "$@"; exit 7`, 64 * kibibyte)
  expect(found).toMatchObject({ status: 7, stderr: 'wrong\n', lost: null })
  expect(found.stdout).toMatch(/^000000000\n[^]*000000999\n--log x run --bundle b id\n$/)
  expect(found.stdout.split('\n')).toHaveLength(1002)
})

test('a step above the limit keeps whole lines of its beginning and end, and the missing bytes are counted', async () => {
  const { status, stderr, all, before, after, lost, sentBytes } = await output(
    `${lines(200_000)}; echo the reason >&2; exit 1`,
    100 * kibibyte,
  )
  expect([status, stderr]).toEqual([1, 'the reason\n'])
  expect(all.endsWith('\n000199999\nthe reason\n')).toBe(true)

  const numbers = all.trim().split('\n').slice(0, -1).map(Number)
  expect([numbers[0], numbers.at(-1)]).toEqual([0, 199_999])
  expect(numbers.length + lost!.lines).toBe(200_000)
  expect(all.length + lost!.bytes).toBe(2_000_000 + 'the reason\n'.length)
  expect(before.length).toBeGreaterThan(99 * kibibyte)
  expect(after.length).toBeGreaterThan(250 * kibibyte)
  expect(sentBytes).toBeLessThan((100 + 512) * kibibyte)
})

test('a step that writes one line at a time is limited too', async () => {
  const script = `exec perl -e '$| = 1; for (0 .. 999) { printf "%09d\\n", $_; select undef, undef, undef, 0.0005 }'`
  const { before, after, lost } = await output(script, kibibyte, ['run', 'id'], {
    TARMAC_STEP_OUTPUT_TAIL: String(kibibyte),
  })
  expect(before.length).toBeLessThanOrEqual(kibibyte + 10)
  expect(before.length).toBeGreaterThan(kibibyte / 2)
  expect(before.length / 10 + lost!.lines + after.length / 10).toBe(1000)
})

test('the step does not see the key of the marks', async () => {
  const { stdout } = await output(`echo "key=$TARMAC_STEP_OUTPUT_KEY"`, kibibyte)
  expect(stdout).toBe('key=\n')
})

test('a line without an end stays within the same limits', async () => {
  const { all, after, lost, sentBytes } = await output(
    `head -c 20000000 /dev/zero | tr '\\0' a; echo; echo last`,
    100 * kibibyte,
  )
  expect(sentBytes).toBeLessThan((100 + 512) * kibibyte)
  expect(after).toMatch(/^a+\nlast\n$/)
  expect([lost!.lines, all.length + lost!.bytes]).toEqual([0, 20_000_006])
})

test('streams that take turns at each byte stay within the limits', async () => {
  const script = `exec perl -e 'for (1 .. 20000) { syswrite STDOUT, "a"; syswrite STDERR, "b" }'`
  const { all, lost, sentBytes } = await output(script, 10 * kibibyte)
  expect(sentBytes).toBeLessThan((10 + 512) * kibibyte)
  expect(all.length + (lost?.bytes ?? 0)).toBe(40_000)
})

test('output on two streams keeps its order, below the limit and at the end of a long output', async () => {
  const both = 'for i in 1 2 3; do echo "out $i"; sleep 0.05; echo "err $i" >&2; sleep 0.05; done'
  const expected = 'out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n'
  expect((await output(both, 10 * kibibyte)).all).toBe(expected)
  expect((await output(`${lines(100_000)}; ${both}`, 10 * kibibyte)).after.slice(-36)).toBe(
    expected,
  )
})

test('what a step writes to stderr never comes before what it wrote to stdout earlier, however late it is read', async () => {
  // The filter sleeps while the step writes to both streams, as under a heavy load.
  const stopped = 'kill -STOP $filter; echo warn >&2; echo out; echo the reason >&2; kill -CONT'
  const script = `filter=$(pgrep -P $$); ${stopped} $filter`
  expect((await output(script, kibibyte)).all).toBe('out\nwarn\nthe reason\n')
})

test('every other command goes to runc unchanged', async () => {
  expect(await run('echo "$@"', kibibyte, ['--version'])).toEqual({
    status: 0,
    stdout: '--version\n',
    stderr: '',
  })
})
