import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { cacheDir } from '../../lab/ready.ts'
import { dice } from '../archives.ts'

const seed = Number(process.env['TARMAC_SEED'] ?? Date.now() % 1e9)
/** Each one is killed at another moment. */
const spawns = 200
const atOnce = 2
let dir: string
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'tarmac-outlive-'))))
afterAll(() => rm(dir, { recursive: true }))

const module = (name: string) =>
  JSON.stringify(join(import.meta.dirname, `../../gateway/src/host/${name}.ts`))
const limits = {
  timeoutMs: 60_000,
  cpuS: 60,
  memoryBytes: 2 ** 28,
  processes: 64,
  tmpBytes: 2 ** 20,
}

/**
 * A stand-in for a gateway. It loads the code and says so. On a message it starts a planner, a tool
 * and a daemon, each after its own delay. A mark in their environment identifies them.
 */
const standIn = `
const { runInSandbox } = await import(${module('sandbox/sandbox')})
const { runChild } = await import(${module('child/run-child')})
const { supervise } = await import(${module('child/supervised-process')})
const never = new AbortController().signal
const [mark, dir] = process.argv.slice(1)
const work = (kind) => ({ command: '/bin/sh', args: ['-c', 'sleep 600 & wait'], env: { MARK: mark + kind } })
const limits = ${JSON.stringify({ ...limits, maxOutputBytes: 1000, maxResultBytes: 1000 })}
const place = { readOnlyMounts: {}, folders: [], network: null, results: ['/tmp/a', '/tmp/b'] }
const start = {
  planner: () => runInSandbox({ ...work('planner'), ...place, limits }, never),
  tool: () => runChild({ ...work('tool'), cwd: '/', timeoutMs: 60_000, maxOutputBytes: 1000 }, never),
  daemon: () => supervise({ ...work('daemon'), record: dir + '/' + mark }),
}
process.stdout.write('ready')
process.stdin.once('data', (delays) => {
  for (const [kind, ms] of Object.entries(JSON.parse(delays))) setTimeout(start[kind], ms)
})`

async function startParent(mark: string): Promise<ChildProcess> {
  const env = { ...process.env, NODE_COMPILE_CACHE: join(cacheDir, 'compiled') }
  const stdio: ['pipe', 'pipe', 'inherit'] = ['pipe', 'pipe', 'inherit']
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', standIn, mark, dir], {
    env,
    stdio,
  })
  await once(parent.stdout, 'data')
  return parent
}

/** Returns everything with the mark in its environment. A zombie has ended. */
function running(mark: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const marked = readFileSync(`/proc/${pid}/environ`, 'utf8')
          .split('\0')
          .includes(`MARK=${mark}`)
        if (!marked || readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')) return []
        return [
          `${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()}`,
        ]
      } catch {
        return [] // it has just ended
      }
    })
}

test('a daemon is asked to end when the gateway is killed, and has time for it', async () => {
  const file = join(dir, 'ended')
  const module_ = module('child/supervised-process')
  const script = `trap 'sleep 0.5; echo well > ${file}; exit' TERM; echo begun > ${file}; while :; do sleep 0.05; done`
  const code = `const { supervise } = await import(${module_})
    await supervise({ command: '/bin/sh', args: ['-c', ${JSON.stringify(script)}], env: { MARK: 'asked' }, record: ${JSON.stringify(join(dir, 'asked'))} })
    setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', code], {
    stdio: 'inherit',
  })
  const said = () => readFileSync(file, { encoding: 'utf8', flag: 'a+' }).trim()
  await vi.waitFor(() => expect(said()).toBe('begun'), { timeout: 10_000, interval: 20 })
  parent.kill('SIGKILL')
  await vi.waitFor(() => expect([said(), running('asked')]).toEqual(['well', []]), {
    timeout: 5000,
    interval: 20,
  })
})

/**
 * The maximum age of each when the gateway is killed. It is longer than the start of all its parts
 * takes.
 */
const oldestMs = { planner: 80, tool: 16, daemon: 16 }
type Kind = keyof typeof oldestMs
const kinds = Object.keys(oldestMs) as Kind[]

test(`of what a killed gateway had started nothing runs on, whenever it is killed (seed ${seed})`, async () => {
  const roll = dice(seed)
  const rounds = Array.from({ length: Math.ceil(spawns / kinds.length) }, (_, at) => ({
    mark: `outlive-${process.pid}-${at}-`,
    agesMs: kinds.map((kind) => roll(oldestMs[kind])),
  })).values()
  let begun = 0
  let all = 0
  const work = async () => {
    for (const { mark, agesMs } of rounds) {
      const parent = await startParent(mark)
      const exit = once(parent, 'exit')
      const delays = kinds.map((kind, at) => [kind, oldestMs.planner - agesMs[at]!])
      parent.stdin!.write(JSON.stringify(Object.fromEntries(delays)))
      await sleep(oldestMs.planner)
      begun += kinds.filter((kind) => running(mark + kind).length > 0).length
      all += kinds.length
      parent.kill('SIGKILL')
      await exit
      const left = () => kinds.flatMap((kind) => running(mark + kind))
      await vi.waitFor(() => expect(left(), `ages ${agesMs.join(', ')} ms`).toEqual([]), {
        timeout: 2000,
        interval: 20,
      })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  // Otherwise the kills came too early or too late to show anything.
  expect(all).toBeGreaterThanOrEqual(spawns)
  expect(begun).toBeGreaterThan(all * 0.1)
  expect(begun).toBeLessThan(all)
})
