import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../../../lab/soak/random.ts'
import { goodRequests, hostileBytes, type Target } from './requests.ts'
import { leavings, sendRaw } from './send.ts'

type Storm = { port: number; target: Target; seed: string; stormMs: number; atOnce?: number; everyBytes?: number }

/**
 * Sends good requests cut off at every byte (or every so many), then hostile ones for a while. Gives back how many there were and which got
 * an answer that says that something went wrong inside the gateway; throws when it no longer answers.
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

  const cuts = Object.entries(goodRequests(target)).flatMap(([name, bytes]) =>
    Array.from({ length: bytes.length }, (_, at) => ({ name, at, bytes: bytes.subarray(0, at + 1) })).filter(
      ({ at }) => at % everyBytes === 0,
    ),
  )
  const upgraded = goodRequests(target, ['Connection: Upgrade', 'Upgrade: h2c'])
  for (const name of ['upload', 'chunkedForm', 'secret', 'list'])
    for (let at = 0; at < upgraded[name]!.length; at += 3 * everyBytes)
      cuts.push({ name: `h2c ${name}`, at, bytes: upgraded[name]!.subarray(0, at + 1) })

  const begun = performance.now()
  let next = 0
  await Promise.all([
    watchLife(port, () => performance.now() - begun < stormMs || next < cuts.length),
    ...Array.from({ length: atOnce }, async (_, worker) => {
      for (let at = next++; at < cuts.length; at = next++) {
        const cut = cuts[at]!
        // Every other one is given time to be read before the reset.
        const sending = sendRaw(port, { pieces: [cut.bytes], leaving: 'reset', pauseMs: at % 2, patienceMs: 500 })
        await look(`${cut.name} cut at ${cut.at}`, sending)
      }
      for (let n = 0; performance.now() - begun < stormMs; n++) {
        const random = new Random(seed, worker, n)
        await look(`case ${worker} ${n}`, sendHostile(port, target, random))
      }
    }),
  ])
  return { sent, failed }
}

function sendHostile(port: number, target: Target, random: Random): Promise<string> {
  const bytes = hostileBytes(
    target,
    (from) => random.oneOf(from),
    (limit) => random.upTo(limit - 1),
  )
  // The body often comes late: what is done at its head is done before.
  const body = bytes.indexOf('\r\n\r\n') + 4
  const cuts = Array.from({ length: random.upTo(3) }, () => random.oneOf([body, random.upTo(bytes.length)]))
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

/** All the time it answers others. */
async function watchLife(port: number, goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(15_000) })
    if (answer.status !== 200) throw new Error(`/healthz answers ${answer.status}`)
    await answer.text()
    await wait(100)
  }
}
