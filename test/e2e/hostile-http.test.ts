import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { storm } from '../gateway/http/fuzz/storm.ts'
import { startTestLab, type TestLab } from './start.ts'

let lab: TestLab
beforeAll(async () => void (lab = await startTestLab()))
afterAll(() => lab?.[Symbol.asyncDispose]())

const seed = process.env['TARMAC_SEED'] ?? String(Date.now())
const stormMs = 4000

/** The open sockets of a process, as the kernel counts them. */
function openSockets(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) =>
    linkOf(`/proc/${pid}/fd/${fd}`).startsWith('socket:'),
  ).length
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return '' // closed meanwhile
  }
}

test('a real gateway outlives what strangers send, and deploys after it as before', async () => {
  console.log(`TARMAC_SEED=${seed}`)
  const id = await lab.submit('read', { 'index.html': 'hello' }, 'deploy=false')
  await lab.end(id)
  const { pid, log } = lab.gatewayProcess
  const before = openSockets(pid)
  const port = Number(new URL(lab.gateway).port)
  const { failed } = await storm({
    port,
    target: { token: lab.token, id },
    seed,
    stormMs,
    everyBytes: 7,
  })
  expect(failed).toEqual([])
  expect(lab.gatewayProcess.pid).toBe(pid)

  process.kill(pid, 0) // throws when the process is gone
  const errors = readFileSync(log, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{"level":50'))
  expect(errors).toEqual([])

  const after = await lab.submit('after', { 'index.html': 'still here' }, 'deploy=false')
  expect((await lab.end(after)).record.state).toBe('built')
  await expect.poll(() => openSockets(pid), { timeout: 30_000 }).toBeLessThanOrEqual(before)
})
