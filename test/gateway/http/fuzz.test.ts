import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { token } from './start-http.ts'
import { storm } from './fuzz/storm.ts'

type Facts = { open: Record<string, number>; errors: string[] }

/** A new storm each run. TARMAC_SEED repeats one. */
const seed = process.env['TARMAC_SEED'] ?? String(Date.now())
const stormMs = Number(process.env['TARMAC_FUZZ_MS'] ?? 4000)

test('nothing that one connection sends ends the process, is an inner error, or leaves a socket open', async () => {
  console.log(`TARMAC_SEED=${seed}`)
  const server = fork(join(import.meta.dirname, 'fuzz/server.ts'), {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let lastWords = ''
  server.stderr!.on(
    'data',
    (data: Buffer) => (lastWords = (lastWords + data.toString()).slice(-3000)),
  )
  const ended = once(server, 'exit')
  try {
    const [{ port, id }] = (await once(server, 'message')) as [{ port: number; id: string }]
    const facts = async (): Promise<Facts> => {
      server.send('how are you?')
      return ((await once(server, 'message')) as [Facts])[0]
    }
    const before = await facts()
    const { sent, failed } = await Promise.race([
      storm({ port, target: { token, id }, seed, stormMs }).catch((error: unknown) => {
        throw new Error(`The gateway answers no more: ${lastWords}`, { cause: error })
      }),
      ended.then(([code, signal]) => {
        throw new Error(`The gateway ended with ${code ?? signal}: ${lastWords}`)
      }),
    ])
    console.log(`${sent} requests`)
    expect(failed).toEqual([])
    expect((await facts()).errors).toEqual([])
    // Counts what is open beyond the start. It reaches zero once the gateway notices the last
    // disconnects.
    await expect
      .poll(async () => more(before.open, (await facts()).open), { timeout: 30_000, interval: 250 })
      .toEqual({})
  } finally {
    server.kill('SIGKILL')
    await ended
  }
}, 180_000)

/** The kinds whose count has grown. */
function more(before: Record<string, number>, now: Record<string, number>): Record<string, number> {
  const grown = Object.entries(now).filter(([kind, count]) => count > (before[kind] ?? 0))
  return Object.fromEntries(grown)
}
