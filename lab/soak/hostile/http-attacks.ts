import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fill, routes } from '../../../api/routes.ts'
import type { Random } from '../random.ts'
import { archiveOf } from './archive.ts'
import type { Attack, Target } from './attack.ts'

const hangUpMs = 20_000
const slowSockets = 40
const slowMs = 5000

/** Attacks by bytes on a connection, mostly without a token. */
export const httpAttacks: Record<string, Attack> = {
  'an upgrade to h2c with a body': ({ lab }) =>
    raw(lab, [
      `PUT /deploy/x HTTP/1.1\r\n${host}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n`,
      chunked,
    ]),
  'an upgrade to h2c, cut off': ({ lab, random }) =>
    raw(lab, [
      cutAt(
        `PUT /deploy/x HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: h2c\r\n${chunked}`,
        random,
      ),
    ]),
  'an upgrade to nothing known': ({ lab }) =>
    raw(lab, [`GET /healthz HTTP/1.1\r\n${host}Connection: upgrade\r\nUpgrade: foo/9\r\n\r\n`]),
  'a websocket without a token, reset': ({ lab, random }) =>
    raw(lab, [cutAt(`${webSocket('/v1/deployments/x/events')}\r\n`, random)]),
  'a websocket with frames that are none': ({ lab, random }) =>
    raw(lab, [
      `${webSocket(eventsOf(random.oneOf(known(lab))))}Authorization: Bearer ${lab.token}\r\n\r\n`,
      Buffer.from('ff8f00000000ffff', 'hex'),
    ]),
  'chunks that are none': ({ lab, random }) =>
    raw(lab, [
      `PUT /deploy/x HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`,
      random.oneOf([
        'zz\r\n',
        '-1\r\n',
        `${'f'.repeat(17)}\r\n`,
        '5;x="\r\n',
        '0\r\nA: \0\r\n\r\n',
      ]),
    ]),
  'requests in a row without waiting': ({ lab }) =>
    raw(lab, [`GET /v1/rollouts HTTP/1.1\r\n${host}\r\n`.repeat(500)]),
  'headers of 1 MB': ({ lab }) =>
    raw(lab, [`GET / HTTP/1.1\r\n${host}X: ${'x'.repeat(1 << 20)}\r\n\r\n`]),
  noise: ({ lab, random }) =>
    raw(lab, [Buffer.from(Array.from({ length: 2000 }, () => random.upTo(255)))]),
  'a form that breaks off': ({ lab, random }) => {
    const body = `--b\r\nContent-Disposition: form-data; name="source"; filename="s"\r\n\r\n${'x'.repeat(500)}\r\n--b--\r\n`
    const headers = `POST /v1/apps/hostile-form/deployments HTTP/1.1\r\n${host}Authorization: Bearer ${lab.token}\r\n`
    const form = `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: ${body.length}\r\n\r\n`
    return raw(lab, [headers, form, cutAt(body, random)])
  },
  'JSON of 100,000 levels': async ({ lab }) => {
    const answer = await fetch(`${lab.gateway}/v1/apps/hostile-json`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${lab.token}` },
      body: '['.repeat(100_000),
    })
    const text = await answer.text()
    return answer.status >= 400 && answer.status < 500
      ? { answer: `${answer.status}` }
      : {
          answer: `${answer.status}`,
          wrong: `JSON of many levels: ${answer.status} ${text.slice(0, 200)}`,
        }
  },
  'forty slow sockets': async ({ lab }) => {
    const sockets = Array.from({ length: slowSockets }, () => open(lab))
    const until = performance.now() + slowMs
    for (const socket of sockets) socket.write('GET /v1/rollouts HTTP/1.1\r\nX: ')
    while (performance.now() < until) {
      for (const socket of sockets) if (socket.writable) socket.write('x')
      await sleep(200)
    }
    for (const socket of sockets) socket.resetAndDestroy()
    return { answer: 'reset' }
  },
  'an upload that is reset': async ({ lab, random }) => {
    const body = archiveOf([{ path: 'a', content: Buffer.alloc(100_000, 'x') }])
    const head = `PUT /deploy/hostile-reset HTTP/1.1\r\n${host}Authorization: Bearer ${lab.token}\r\n`
    const socket = open(lab)
    socket.write(`${head}Content-Length: ${body.length}\r\n\r\n`)
    socket.write(body.subarray(0, random.upTo(body.length - 1)))
    await sleep(random.upTo(30))
    socket.resetAndDestroy()
    return { answer: 'reset' }
  },
  'a reader that never reads': async ({ lab, random }) => {
    const socket = open(lab)
    socket.pause()
    const path = eventsOf(random.oneOf(known(lab)))
    socket.write(`GET ${path} HTTP/1.1\r\n${host}Authorization: Bearer ${lab.token}\r\n\r\n`)
    await sleep(slowMs)
    socket.resetAndDestroy()
    return { answer: 'reset' }
  },
}

const host = 'Host: 127.0.0.1\r\n'
const chunked = 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'
const webSocket = (path: string): string =>
  `GET ${path} HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`
const eventsOf = (id: string): string => fill(routes.events, { id })
/** Deployments to read, or an unknown one before the first. */
const known = ({ deployments }: Target): string[] =>
  deployments.length > 0 ? deployments.slice(-5) : ['none']
const cutAt = (text: string, random: Random): string =>
  text.slice(0, 1 + random.upTo(text.length - 1))

function open({ gateway }: Target): Socket {
  const { hostname, port } = new URL(gateway)
  // many of these attacks are about a broken connection
  return connect(Number(port), hostname).on('error', () => {})
}

/** Sends the pieces and reads until the gateway hangs up or has been silent for half a second. */
async function raw(target: Target, pieces: (string | Buffer)[]) {
  const socket = open(target)
  let heard = ''
  socket.on('data', (bytes: Buffer) => (heard += bytes.toString('latin1')))
  const closed = once(socket, 'close', { signal: AbortSignal.timeout(hangUpMs) }).catch(() => {})
  for (const piece of pieces) socket.write(piece)
  await Promise.race([closed, sleep(500)])
  socket.resetAndDestroy()
  await closed
  const status = /^HTTP\/1\.1 (\d+)/.exec(heard)?.[1] ?? 'nothing'
  return /^HTTP\/1\.1 500/m.test(heard)
    ? { answer: status, wrong: heard.slice(0, 300) }
    : { answer: status }
}
