import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  runcWithOutputLimit,
  stepOutputEnv,
} from '../../../../gateway/src/buildkit/daemon/step-output.ts'

let dir: string
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'tarmac-runc-'))))
afterAll(() => rm(dir, { recursive: true }))

/** Runs it with a script in place of runc. */
async function run(
  script: string,
  headBytes: number,
  args = ['--log', 'x', 'run', '--bundle', 'b', 'id'],
  more = {},
) {
  await writeFile(join(dir, 'buildkit-runc'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  const env = { ...stepOutputEnv(headBytes), PATH: `${dir}:/usr/bin:/bin`, ...more }
  const { status, stdout, stderr } = spawnSync(runcWithOutputLimit, args, {
    env,
    encoding: 'latin1',
    maxBuffer: 2 ** 26,
  })
  return { status, stdout, stderr }
}
const kibibyte = 1024
const lines = (count: number) =>
  `awk 'BEGIN { for (i = 0; i < ${count}; i++) printf "%09d\\n", i }'`

test('the output of a step below the limit is passed on unchanged, with the exit code', async () => {
  const found = await run(`${lines(1000)}; echo wrong >&2; echo "$@"; exit 7`, 64 * kibibyte)
  expect(found).toMatchObject({ status: 7, stderr: 'wrong\n' })
  expect(found.stdout).toMatch(/^000000000\n[^]*000000999\n--log x run --bundle b id\n$/)
  expect(found.stdout.split('\n')).toHaveLength(1002)
})

test('a step above the limit keeps whole lines of its beginning and end, and the missing bytes are counted', async () => {
  const { status, stdout, stderr } = await run(
    `${lines(200_000)}; echo the reason >&2; exit 1`,
    100 * kibibyte,
  )
  expect([status, stderr]).toEqual([1, 'the reason\n'])

  const [, before, lost, lostBytes, after] =
    /^([^]*)\[tarmac: (\d+) lines, (\d+) bytes of output are not kept here\]\n([^]*)$/.exec(stdout)!
  const numbers = [...before!.trim().split('\n'), ...after!.trim().split('\n')].map(Number)
  expect([numbers[0], numbers.at(-1)]).toEqual([0, 199_999])
  expect(numbers.length + Number(lost)).toBe(200_000)
  expect(before!.length + Number(lostBytes) + after!.length).toBe(2_000_000)
  expect(before!.length).toBeGreaterThanOrEqual(100 * kibibyte)
  expect(after!.length).toBeGreaterThan(250 * kibibyte)
  expect(stdout.length).toBeLessThan((100 + 512) * kibibyte)
})

test('a step that writes one line at a time is limited too', async () => {
  const script = `exec perl -e '$| = 1; for (0 .. 999) { printf "%09d\\n", $_; select undef, undef, undef, 0.0005 }'`
  const { stdout } = await run(script, kibibyte, ['run', 'id'], {
    TARMAC_STEP_OUTPUT_TAIL: String(kibibyte),
  })
  const [, before, lost, after] =
    /^([^]*)\[tarmac: (\d+) lines, \d+ bytes of output[^\n]*\n([^]*)$/.exec(stdout)!
  expect(before).toHaveLength(1030)
  expect(before!.length / 10 + Number(lost) + after!.length / 10).toBe(1000)
})

test('the note about missing output carries a key that the step does not see', async () => {
  const script = `echo "key=$TARMAC_STEP_OUTPUT_KEY"; ${lines(200_000)}`
  const { stdout } = await run(script, 10 * kibibyte, ['run', 'id'], {
    TARMAC_STEP_OUTPUT_KEY: 'a1',
  })
  expect(stdout).toMatch(/^key=\n[^]*\n\[tarmac a1: \d+ lines, /)
})

test('a line without an end stays within the same limits', async () => {
  const { stdout } = await run(
    `head -c 20000000 /dev/zero | tr '\\0' a; echo; echo last`,
    100 * kibibyte,
  )
  expect(stdout.length).toBeLessThan((100 + 512) * kibibyte)
  expect(stdout).toMatch(
    /a\n\[tarmac: 0 lines, \d+ bytes of output are not kept here\]\na+\nlast\n$/,
  )
})

test('output on two streams at the end of a long output keeps its order', async () => {
  const both = `{ ${lines(100_000)}; for i in 1 2 3; do echo "out $i"; sleep 0.05; echo "err $i" >&2; sleep 0.05; done; }`
  const merged = `(${runcWithOutputLimit} run id) 2>&1 | tail -n 6`
  await writeFile(join(dir, 'buildkit-runc'), `#!/bin/sh\n${both}\n`, { mode: 0o755 })
  const env = { ...stepOutputEnv(10 * kibibyte), PATH: `${dir}:/usr/bin:/bin` }
  const { stdout } = spawnSync('sh', ['-c', merged], { env, encoding: 'utf8' })
  expect(stdout).toBe('out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n')
})

test('every other command goes to runc unchanged', async () => {
  expect(await run('echo "$@"', kibibyte, ['--version'])).toEqual({
    status: 0,
    stdout: '--version\n',
    stderr: '',
  })
})
