import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../../../lab/soak/random.ts'
import { goodRequests, hostileBytes, type Target } from './requests.ts'
import { leavings, sendRaw } from './send.ts'

type Storm = {
  port: number
  target: Target
  seed: string
  stormMs: number
  atOnce?: number
  everyBytes?: number
}

/**
 * Sends valid requests that are reset at every byte (or every `everyBytes`), then hostile ones for
 * `stormMs`. Returns how many it sent and which got an internal error. Throws when the gateway no
 * longer answers other callers.
 */
export async function storm({ port, target, seed, stormMs, atOnce = 48, everyBytes = 1 }: Storm) {
  const failed: { case: string; answer: string }[] = []
  let sent = 0
  const look = async (name: string, sending: Promise<string>) => {
    const answer = await sending
    sent++
    const inner = /^HTTP\/1\.1 500|"code":"internal"/m.exec(answer)
    if (inner) failed.push({ case: name, answer: answer.slice(inner.index, inner.index + 500) })
  }

  const cuts = cutRequests(target, everyBytes)
  let next = 0
  let until = Number.POSITIVE_INFINITY
  const cutAll = async () => {
    for (let at = next++; at < cuts.length; at = next++) {
      const { name, bytes } = cuts[at]!
      // Every other request gets time to be read before the reset.
      await look(
        name,
        sendRaw(port, { pieces: [bytes], leaving: 'reset', pauseMs: at % 2, patienceMs: 500 }),
      )
    }
  }
  const hostile = async (worker: number) => {
    for (let n = 0; performance.now() < until; n++)
      await look(`case ${worker} ${n}`, sendHostile(port, target, new Random(seed, worker, n)))
  }
  const workers = Array.from({ length: atOnce }, (_, worker) => worker)
  await Promise.all([
    watchLife(port, () => performance.now() < until),
    (async () => {
      await Promise.all(workers.map(cutAll))
      until = performance.now() + stormMs
      await Promise.all(workers.map(hostile))
    })(),
  ])
  return { sent, failed }
}

/** These are cut at every byte, the others at some bytes. */
const thorough = new Set([
  'upload',
  'form',
  'chunkedForm',
  'settings',
  'secret',
  'retry',
  'events',
  'socket',
  'ready',
])

function cutRequests(target: Target, everyBytes: number): { name: string; bytes: Buffer }[] {
  const upgraded = Object.entries(goodRequests(target, ['Connection: Upgrade', 'Upgrade: h2c']))
  const all = [
    ...Object.entries(goodRequests(target)),
    ...upgraded.map(([name, bytes]) => [`h2c ${name}`, bytes] as const),
  ]
  return all.flatMap(([name, bytes]) => {
    const step = everyBytes * (thorough.has(name) ? 1 : 6)
    return Array.from({ length: Math.ceil(bytes.length / step) }, (_, index) => {
      const end = Math.min(bytes.length, (index + 1) * step)
      return { name: `${name} cut after ${end} bytes`, bytes: bytes.subarray(0, end) }
    })
  })
}

function sendHostile(port: number, target: Target, random: Random): Promise<string> {
  const bytes = hostileBytes(
    target,
    (from) => random.oneOf(from),
    (limit) => random.upTo(limit - 1),
  )
  // The body often comes late, after the gateway has handled the head.
  const body = bytes.indexOf('\r\n\r\n') + 4
  const cuts = Array.from({ length: random.upTo(3) }, () =>
    random.oneOf([body, random.upTo(bytes.length)]),
  )
  const pieces = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
    .map((to, index, all) => bytes.subarray(all[index - 1] ?? 0, to))
    .filter((piece) => piece.length > 0)
  return sendRaw(port, {
    pieces,
    leaving: random.oneOf(leavings),
    pauseMs: random.oneOf([0, 1, 10]),
    patienceMs: random.oneOf([20, 100, 400]),
  })
}

/** The gateway must answer other callers all the time. */
async function watchLife(port: number, goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`, {
      signal: AbortSignal.timeout(15_000),
    })
    if (answer.status !== 200) throw new Error(`/healthz answers ${answer.status}`)
    await answer.text()
    await wait(100)
  }
}
