import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { cacheDir } from '../../lab/ready.ts'

const seed = Number(process.env['TARMAC_SEED'] ?? Date.now() % 1e9)
const kills = 200
const atOnce = 4
let dir: string
beforeAll(async () => void (dir = await mkdtemp(join(tmpdir(), 'tarmac-outlive-'))))
afterAll(() => rm(dir, { recursive: true }))

const module = (name: string) => JSON.stringify(join(import.meta.dirname, `../../gateway/src/host/${name}.ts`))
const limits = { timeoutMs: 60_000, cpuS: 60, memoryBytes: 2 ** 28, processes: 64, tmpBytes: 2 ** 20 }

/** What a gateway starts: a stand-in for it runs one of these, with a mark in its environment by which it is found. */
const spawns = {
  planner: `
    const { runInSandbox } = await import(${module('sandbox')})
    const limits = ${JSON.stringify({ ...limits, maxOutputBytes: 1000, maxResultBytes: 1000 })}
    const work = { command: '/bin/sh', args: ['-c', 'sleep 600 & wait'], env: { MARK: mark }, show: {}, folders: [], network: null }
    const start = () => runInSandbox({ ...work, results: ['/tmp/a', '/tmp/b'], limits }, new AbortController().signal)`,
  tool: `
    const { runChild } = await import(${module('run-child')})
    const work = { command: '/bin/sh', args: ['-c', 'sleep 600 & wait'], env: { MARK: mark }, cwd: '/' }
    const start = () => runChild({ ...work, timeoutMs: 60_000, maxOutputBytes: 1000 }, new AbortController().signal)`,
  daemon: `
    const { startProgram } = await import(${module('program')})
    const work = { command: '/bin/sh', args: ['-c', 'sleep 600 & wait'], env: { MARK: mark }, record: dir + '/' + mark }
    const start = () => startProgram(work)`,
}
type Kind = keyof typeof spawns

/** Loads the code, says so, and spawns when it is told to: so that the kill falls into the spawn. */
async function startParent(kind: Kind, mark: string): Promise<ChildProcess> {
  const code = `const [mark, dir] = ${JSON.stringify([mark, dir])}
    ${spawns[kind]}
    process.stdout.write('ready')
    await new Promise((resolve) => process.stdin.once('data', resolve))
    await start()
    setInterval(() => {}, 1000)`
  const env = { ...process.env, NODE_COMPILE_CACHE: join(cacheDir, 'compiled') }
  const stdio: ['pipe', 'pipe', 'inherit'] = ['pipe', 'pipe', 'inherit']
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', code], { env, stdio })
  await once(parent.stdout, 'data')
  return parent
}

/** Everything that has the mark in its environment; a zombie has ended. */
function running(mark: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const marked = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`MARK=${mark}`)
        if (!marked || readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')) return []
        return [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()}`]
      } catch {
        return [] // it has just ended
      }
    })
}

/** Up to the moment at which everything is there, and some beyond it. */
const spawnMs: Record<Kind, number> = { planner: 80, tool: 16, daemon: 16 }

test(`of what a killed gateway had started nothing runs on, whenever it is killed (seed ${seed})`, async () => {
  const mark = `outlive-${process.pid}`
  let state = seed % 2_147_483_647 || 1
  const fraction = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647
  const kinds = Array.from({ length: kills }, (_, at): Kind =>
    at % 4 < 2 ? 'planner' : at % 4 < 3 ? 'tool' : 'daemon',
  )
  const jobs = kinds.map((kind, at) => ({ kind, at, delayMs: fraction() * spawnMs[kind] })).values()
  let begun = 0
  const work = async () => {
    for (const { kind, at, delayMs } of jobs) {
      const own = `${mark}-${kind}-${at}`
      const parent = await startParent(kind, own)
      const exit = once(parent, 'exit')
      parent.stdin!.write('go')
      await sleep(delayMs)
      if (running(own).length > 0) begun++
      parent.kill('SIGKILL')
      await exit
      await vi.waitFor(() => expect(running(own), `${kind}, killed after ${delayMs} ms`).toEqual([]), {
        timeout: 2000,
        interval: 20,
      })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  // Else the kills came too early or too late to show anything.
  expect(begun).toBeGreaterThan(kills * 0.2)
  expect(begun).toBeLessThan(kills)
})
