import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fill, routes } from '#api/routes.ts'

/**
 * Many readers of one log in their own process. They use plain sockets, so that reading costs less
 * than the measured work. `target`: the log of a deployment, or a WebSocket that broadcasts the same
 * messages.
 */
export type FollowOrder = { port: number; readers: number; from: string; target: Target }
type Target = { token: string; id: string } | 'broadcast'
/**
 * How many deliveries took how many milliseconds, the missed numbers, and the last number of each
 * reader that saw the end.
 */
export type Followed = { timesMs: number[]; gaps: number; ends: number[] }

const atOnce = 200
const order = JSON.parse(process.argv[2]!) as FollowOrder
const followed: Followed = { timesMs: Array.from({ length: 10_001 }, () => 0), gaps: 0, ends: [] }
type Seen = { messages: { seq: number; at: number }[]; ended: boolean; rest: string }
let known = { text: '', seen: { messages: [], ended: false, rest: '' } as Seen }
let measuring = false
let open = order.readers
const buffer = Buffer.alloc(256 * 1024)

process.on('message', (word) => (measuring = word === 'measure'))
for (let n = 0; n < order.readers; n += atOnce)
  await Promise.all(Array.from({ length: Math.min(atOnce, order.readers - n) }, follow))
await sleep(1000)
process.send!('all are there')

/** Resolves with the first bytes of the log. */
function follow(): Promise<void> {
  const { port } = order
  return new Promise((resolve, reject) => {
    let last = 0
    let held = ''
    const take = (text: string) => {
      const seen = messagesIn(held + text)
      held = seen.rest
      const now = measuring ? Date.now() : 0
      for (const { seq, at } of seen.messages) {
        // A broadcast begins with the newest message.
        if (seq !== last + 1 && (last > 0 || order.target !== 'broadcast')) followed.gaps++
        last = seq
        if (now) followed.timesMs[Math.min(Math.max(0, now - at), 10_000)]!++
      }
      if (seen.ended) followed.ends.push(last)
      if (last > 0) resolve()
    }
    const socket = connect({
      port,
      host: '127.0.0.1',
      localAddress: order.from,
      onread: { buffer, callback: (bytes) => (take(buffer.toString('latin1', 0, bytes)), true) },
    })
    socket.write(request(order.target))
    socket.on('error', reject).on('close', () => {
      if (--open === 0) process.send!(followed, () => process.exit(0))
    })
  })
}

function request(target: Target): string {
  const head =
    target === 'broadcast'
      ? [
          'GET / HTTP/1.1',
          'Upgrade: websocket',
          'Connection: Upgrade',
          'Sec-WebSocket-Version: 13',
          'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        ]
      : [
          `GET ${fill(routes.events, { id: target.id })} HTTP/1.1`,
          `Authorization: Bearer ${target.token}`,
          'Accept: text/event-stream',
          'Connection: close',
        ]
  return [...head, 'Host: x', '', ''].join('\r\n')
}

/** Parses whole messages. Nearly always, the reader before got the same text. */
function messagesIn(text: string): Seen {
  if (text === known.text) return known.seen
  const whole = text.lastIndexOf('\n\n') + 2
  const messages = Array.from(
    text.slice(0, whole).matchAll(/^id: (\d+)\n[^]*?"at":"([^"]+)"/gm),
    ([, seq, at]) => ({
      seq: Number(seq),
      at: Date.parse(at!),
    }),
  )
  known = {
    text,
    seen: {
      messages,
      ended: text.includes('\nevent: end\n') || text.includes('event: end\ndata'),
      rest: text.slice(whole).replace(/^\r\n$/, ''),
    },
  }
  return known.seen
}
