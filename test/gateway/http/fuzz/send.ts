import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

/** How a caller leaves: it waits for the answer, half-closes, closes, or resets. */
export const leavings = ['wait', 'end', 'destroy', 'reset'] as const
export type Leaving = (typeof leavings)[number]
type Sent = { pieces: Buffer[]; leaving: Leaving; pauseMs: number; patienceMs: number }

/** Sends these bytes on their own connection. Returns the answer until the connection closes. */
export async function sendRaw(
  port: number,
  { pieces, leaving, pauseMs, patienceMs }: Sent,
): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  let answer = ''
  socket.on('data', (data) => void (answer.length < 100_000 && (answer += data.toString('latin1'))))
  socket.on('error', () => {}) // a reset counts as an answer too
  const closed = new Promise((resolve) => socket.once('close', resolve))
  for (const piece of pieces) {
    socket.write(piece)
    if (pauseMs > 0) await wait(pauseMs)
  }
  if (leaving === 'reset' && socket.connecting)
    await Promise.race([closed, new Promise((resolve) => socket.once('connect', resolve))])
  if (leaving === 'reset') socket.resetAndDestroy()
  if (leaving === 'destroy') socket.destroySoon()
  if (leaving === 'end') socket.end()
  const patience = setTimeout(() => socket.destroy(), patienceMs)
  await closed
  clearTimeout(patience)
  return answer
}
