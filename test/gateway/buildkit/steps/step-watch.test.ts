import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { limitsEnvironment } from '../../../../gateway/src/buildkit/daemon/step-limits.ts'
import { StepWatch } from '../../../../gateway/src/buildkit/steps/step-watch.ts'

function root(): string {
  const dir = mkdtempSync(join(tmpdir(), 'step-watch-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  mkdirSync(join(dir, 'steps'))
  return dir
}
/** Makes a step with a fake control group and one process. */
function step(dir: string, name: string, oomControl: string) {
  const child = spawn('sleep', ['60'])
  onTestFinished(() => void child.kill())
  const group = join(dir, name)
  mkdirSync(group)
  writeFileSync(join(group, 'cgroup.procs'), `${child.pid}\n`)
  writeFileSync(join(group, 'memory.oom_control'), oomControl)
  writeFileSync(join(dir, 'steps', name), `memory 1\ngroup ${group}\n`)
  return child
}

test('with cgroup v1, a step ends as a whole when the kernel kills one of its processes; other steps continue', async () => {
  const dir = root()
  const other = step(dir, 'other', 'oom_kill_disable 0\nunder_oom 1\noom_kill 0\n')
  const over = step(dir, 'over', 'oom_kill_disable 0\nunder_oom 0\noom_kill 1\n')
  await using _watch = new StepWatch(dir)
  expect(await once(over, 'exit')).toEqual([null, 'SIGKILL'])
  expect(other.signalCode).toBe(null)
})

test('a step’s record is removed one minute after its end, not earlier', async () => {
  const dir = root()
  const [running, fresh, old] = ['running', 'fresh', 'old'].map((name) =>
    join(dir, 'steps', name),
  ) as [string, string, string]
  for (const path of [running, fresh, old])
    writeFileSync(path, `memory 1\ngroup ${path === running ? dir : `${dir}/gone`}\nkilled 1\n`)
  const before = Date.now() / 1000 - 61
  for (const path of [running, old]) utimesSync(path, before, before)
  await using _watch = new StepWatch(dir)
  await vi.waitFor(() => expect(existsSync(old)).toBe(false), { timeout: 5000 })
  expect([running, fresh].map((path) => existsSync(path))).toEqual([true, true])
})

test('limits are fractions of this machine, and no step may use more than all steps together', () => {
  const limits = {
    memory: { share: 0.9 },
    memoryOfAll: { bytes: 2 ** 30 },
    processes: 4096,
    cpus: 1.5,
  }
  const dir = root()
  expect(limitsEnvironment(limits, dir)).toMatchObject({
    TARMAC_STEPS_GROUP: expect.stringMatching(/^tarmac-steps-[0-9a-f]{8}$/),
    TARMAC_STEPS_MEMORY: String(2 ** 30),
    TARMAC_STEP_MEMORY: String(2 ** 30),
    TARMAC_STEP_PROCESSES: '4096',
    TARMAC_STEP_CPU_QUOTA: '150000',
    TARMAC_STEP_RECORDS: join(dir, 'steps'),
  })

  const tiny = limitsEnvironment({ ...limits, memory: { bytes: 1 } }, dir)
  // runc itself needs some memory
  expect(tiny).toMatchObject({ TARMAC_STEP_MEMORY: String(64 * 2 ** 20) })
})
