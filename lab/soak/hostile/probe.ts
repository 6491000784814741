import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

// Asks two servers in turn, on a schedule that no slow answer delays, and sends each answer's time
// to its parent.

const everyMs = 20
const answerMs = 30_000

export type Probed = { which: 'gateway' | 'idle'; ms: number; status: number }

async function probe(which: Probed['which'], url: string): Promise<void> {
  const from = performance.now()
  const status = await statusOf(url)
  process.send!({ which, ms: performance.now() - from, status } satisfies Probed)
}

/**
 * Uses a new connection, because the server may close a kept one just when it is used again. 0
 * means no answer.
 */
const statusOf = (url: string): Promise<number> =>
  new Promise((resolve) => {
    const call = request(url, { agent: false, signal: AbortSignal.timeout(answerMs) }, (answer) => {
      answer.resume().once('close', () => resolve(answer.statusCode ?? 0))
    })
    call.once('error', () => resolve(0))
    call.end()
  })

const [gateway = '', idle = ''] = process.argv.slice(2)
process.once('disconnect', () => process.exit(0))
const isFirst = () => Math.random() < 0.5
for (;;) {
  const asks = [() => probe('gateway', gateway), () => probe('idle', idle)]
  for (const ask of isFirst() ? asks : asks.toReversed()) void ask()
  await sleep(everyMs)
}
