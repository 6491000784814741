/** Requests as bytes: valid ones of every kind, and the damaged forms that strangers send. */
import { gzipSync } from 'node:zlib'

export type Target = { token: string; id: string }

const crlf = '\r\n'
const chunked = (body: Buffer | string, sizes: number) => {
  const bytes = Buffer.from(body)
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += sizes) {
    const piece = bytes.subarray(at, at + sizes)
    pieces.push(Buffer.from(piece.length.toString(16) + crlf), piece, Buffer.from(crlf))
  }
  return Buffer.concat([...pieces, Buffer.from(`0${crlf}${crlf}`)])
}

/** A tar of one file, as GNU tar writes it. */
export function smallTar(name = 'index.html', content = 'hello'): Buffer {
  const header = Buffer.alloc(512)
  const put = (text: string, at: number) => header.write(text, at, 'latin1')
  put(name, 0)
  put('0000644\0', 100)
  put('0000000\0', 108)
  put('0000000\0', 116)
  put(`${content.length.toString(8).padStart(11, '0')}\0`, 124)
  put('00000000000\0', 136)
  put('        ', 148)
  put('0ustar  \0', 156)
  const sum = header.reduce((all, byte) => all + byte, 0)
  put(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return Buffer.concat([header, Buffer.from(content.padEnd(512, '\0')), Buffer.alloc(1024)])
}

export function formOf(parts: Record<string, string | Buffer>, boundary = 'frontier'): Buffer {
  const pieces = Object.entries(parts).flatMap(([name, value]) => [
    Buffer.from(
      `--${boundary}${crlf}Content-Disposition: form-data; name="${name}"${typeof value === 'string' ? '' : '; filename="source.tgz"'}${crlf}${crlf}`,
    ),
    Buffer.from(value),
    Buffer.from(crlf),
  ])
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--${crlf}`)])
}

type Asked = {
  method: string
  path: string
  headers: string[]
  body?: Buffer | string
  sizes?: number
}

function written({ method, path, headers, body, sizes }: Asked): Buffer {
  const framed =
    body === undefined ? Buffer.alloc(0) : sizes ? chunked(body, sizes) : Buffer.from(body)
  const framing =
    body === undefined
      ? []
      : [sizes ? 'Transfer-Encoding: chunked' : `Content-Length: ${framed.length}`]
  const head = [
    `${method} ${path} HTTP/1.1`,
    'Host: 127.0.0.1',
    ...headers,
    ...framing,
    '',
    '',
  ].join(crlf)
  return Buffer.concat([Buffer.from(head, 'latin1'), framed])
}

/** Valid requests by name, each as its bytes. */
export function goodRequests({ token, id }: Target, more: string[] = []): Record<string, Buffer> {
  const bearer = [`Authorization: Bearer ${token}`, ...more]
  const tgz = gzipSync(smallTar())
  const form = { 'env.A': 'b', 'secret.S': 'horse', source: tgz, deploy: 'false' }
  const formType = ['Content-Type: multipart/form-data; boundary=frontier', ...bearer]
  const json = ['Content-Type: application/json', ...bearer]
  const events = `/v1/deployments/${id}/events`
  const socket = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
  const rollout = '{"source":{"release":1},"targets":[{"app":"shop"}]}'
  return {
    upload: written({
      method: 'PUT',
      path: '/deploy/shop?follow=false',
      headers: bearer,
      body: tgz,
    }),
    chunkedUpload: written({
      method: 'PUT',
      path: '/deploy/shop',
      headers: bearer,
      body: tgz,
      sizes: 50,
    }),
    form: written({
      method: 'POST',
      path: '/v1/apps/shop/deployments',
      headers: formType,
      body: formOf(form),
    }),
    chunkedForm: written({
      method: 'PUT',
      path: '/deploy/shop',
      headers: formType,
      body: formOf(form),
      sizes: 37,
    }),
    settings: written({
      method: 'PATCH',
      path: '/v1/apps/shop',
      headers: json,
      body: '{"lane":"latest","env":{"A":"1"}}',
    }),
    secret: written({
      method: 'PUT',
      path: '/v1/apps/shop/secrets/A',
      headers: bearer,
      body: 'horse battery',
    }),
    image: written({
      method: 'POST',
      path: '/v1/apps/shop/deployments',
      headers: json,
      body: '{"source":{"release":1}}',
    }),
    rollout: written({
      method: 'POST',
      path: '/v1/rollouts',
      headers: json,
      body: rollout,
      sizes: 9,
    }),
    retry: written({ method: 'POST', path: `/v1/deployments/${id}/retry`, headers: bearer }),
    cancel: written({ method: 'POST', path: `/v1/deployments/none/cancel`, headers: bearer }),
    events: written({ method: 'GET', path: events, headers: bearer }),
    socket: written({
      method: 'GET',
      path: events,
      headers: [...bearer, ...socket, 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='],
    }),
    log: written({ method: 'GET', path: `/v1/deployments/${id}/log`, headers: bearer }),
    list: written({ method: 'GET', path: '/v1/apps/shop/deployments?limit=2', headers: bearer }),
    ready: written({ method: 'GET', path: '/readyz', headers: more }),
    tunnel: written({ method: 'CONNECT', path: '127.0.0.1:22', headers: bearer }),
  }
}

type Pick = <T>(from: readonly T[]) => T
type Below = (limit: number) => number

const h2c = [
  'Connection: Upgrade, HTTP2-Settings',
  'Upgrade: h2c',
  'HTTP2-Settings: AAMAAABkAAQAAP__',
]
const upgrades = [
  h2c,
  ['Connection: Upgrade', 'Upgrade: websocket'],
  ['Connection: upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 8', 'Sec-WebSocket-Key: x'],
  ['Connection: Upgrade', 'Upgrade: TLS/1.0, h2c, websocket'],
  ['Connection: Upgrade', 'Upgrade: '],
  ['Upgrade: h2c'],
  [...h2c, 'Expect: 100-continue'],
]
const headersToAdd = [
  ['Expect: 100-continue'],
  ['Expect: 200-ok'],
  ['Content-Length: 5'],
  ['Content-Length: 99999'],
  ['Content-Length: -1'],
  ['Content-Length: 5, 5'],
  ['Transfer-Encoding: chunked'],
  ['Transfer-Encoding: gzip, chunked'],
  ['Transfer-Encoding: chunked, identity'],
  ['Transfer-Encoding:\x0bchunked'],
  ['Content-Encoding: gzip'],
  ['Content-Type: multipart/form-data'],
  ['Content-Type: multipart/form-data; boundary="'],
  ['Content-Type: multipart/form-data; boundary=""'],
  [`Content-Type: multipart/form-data; boundary=${'a'.repeat(3000)}`],
  ['Content-Type: application/json; charset=utf-16'],
  ['Host: evil.example'],
  ['Origin: null'],
  ['Accept: text/plain'],
  ['Accept: application/x-ndjson'],
  ['Last-Event-ID: 99999999999999999999'],
  ['Idempotency-Key: a', 'Idempotency-Key: b'],
  ['Content-Digest: sha-256=:AAAA:'],
  ['Content-Digest: sha-256=:::'],
  ['Connection: close'],
  ['X-Folded: a', ' b', '\tc'],
  ['X-Nul: a\0b'],
  [`X-Long: ${'x'.repeat(20_000)}`],
  Array.from({ length: 300 }, (_, at) => `X-${at}: y`),
  ['Trailer: X-Late', 'TE: trailers'],
]
const paths = [
  'http://127.0.0.1/readyz',
  'http://[/readyz',
  'http://a@b/v1/rollouts',
  '//[/deploy/x',
  '*',
  '/v1/apps/%zz/deployments',
  '/v1/apps/shop/deployments?limit=%00',
  '/deploy/shop?wait=toString',
  '/deploy/shop?env.__proto__=x',
  `/deploy/shop?${'env.A=1&'.repeat(1000)}`,
  '/v1/deployments/%00/events',
  '/v1/deployments/..%2f../events?after=999999999999999',
]
const bodies = [
  '['.repeat(50_000),
  `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`,
  '{"__proto__":{"lane":"latest"}}',
  '{"env":{"__proto__":{"A":"1"}}}',
  '"\ud800',
  '\xff\xfe{\0}\0',
  '--frontier\r\n\r\n\r\n--frontier--',
  '--frontier\r\nContent-Disposition: form-data; name="source"; filename="x"\r\n\r\nabc',
  '--frontier\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--frontier--\r\n',
  '--frontier\r\nContent-Disposition: form-data; name="__proto__"\r\n\r\nabc\r\n--frontier--\r\n',
  `--frontier\r\nContent-Disposition: form-data; name="${'n'.repeat(20_000)}"\r\n\r\nabc\r\n--frontier--\r\n`,
  `--frontier\r\n${'X: y\r\n'.repeat(5000)}\r\nabc\r\n--frontier--\r\n`,
  "--frontier\r\nContent-Disposition: form-data; name=a; filename*=klingon''%zz\r\nContent-Type: a/b; charset=klingon\r\n\r\nabc\r\n--frontier--\r\n",
  '--frontier\r\nContent-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=utf-16le\r\n\r\nabc\r\n--frontier--\r\n',
  '--frontier\r\nno header\r\n\r\nabc\r\n--frontier--\r\n',
  `--frontier\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n`.repeat(300),
]
const chunkSizes = [
  '-1',
  'ffffffffffffffff',
  '5;',
  '5 ',
  '0x5',
  'g',
  '',
  '5\n',
  `5;${'e'.repeat(20_000)}`,
]
/** Invalid or damaged WebSocket frames. 0x80 in the second byte means masked. */
const frames = [
  [0x81, 0x05, 1, 2, 3, 4, 5],
  [0x89, 0x80, 0, 0, 0, 0],
  [0x89, 0xfe, 0x00, 0x80],
  [0xff, 0xff, 0xff, 0xff],
  [0x01, 0x80, 0, 0, 0, 0, 0x00, 0x80, 0, 0, 0, 0],
  [0x00, 0x81, 1, 2, 3, 4, 5],
  [0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4],
  [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8],
  [0x88, 0x81, 0, 0, 0, 0, 1],
  [0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28],
  [0xc1, 0x80, 0, 0, 0, 0],
].map((bytes) => Buffer.from(bytes))

/** The bytes of one stranger: some valid requests, damaged in one or several ways. */
export function hostileBytes(target: Target, pick: Pick, below: Below): Buffer {
  const token = below(4) === 0 ? 'wrong' : target.token
  const count = below(4) === 0 ? 1 + below(4) : 1
  return Buffer.concat(
    Array.from({ length: count }, () => spoilt({ ...target, token }, pick, below)),
  )
}

function spoilt(target: Target, pick: Pick, below: Below): Buffer {
  const added = pick([() => [], () => pick(upgrades), () => pick(headersToAdd)])()
  let bytes = pick(Object.entries(goodRequests(target, added)))[1]
  const end = bytes.indexOf('\r\n\r\n') + 4
  const head = bytes.subarray(0, end)
  const replaced = (from: RegExp, to: string) =>
    Buffer.concat([
      Buffer.from(
        head.toString('latin1').replace(from, () => to),
        'latin1',
      ),
      bytes.subarray(end),
    ])
  switch (below(12)) {
    case 0:
      return replaced(/ \S+ /, ` ${pick(paths)} `)
    case 1: {
      const body = Buffer.from(pick(bodies), 'latin1')
      const text = head
        .toString('latin1')
        .replace(/(Transfer-Encoding: chunked|Content-Length: \d+)\r\n/, '')
      return Buffer.concat([
        Buffer.from(text.replace(/\r\n$/, `Content-Length: ${body.length}\r\n\r\n`), 'latin1'),
        body,
      ])
    }
    case 2:
      return Buffer.concat([head, Buffer.from(`${pick(chunkSizes)}\r\nhello\r\n0\r\n\r\n`)])
    case 3:
      return Buffer.concat([bytes, ...Array.from({ length: 1 + below(40) }, () => pick(frames))])
    case 4:
      return bytes.subarray(0, below(bytes.length))
    case 5: {
      bytes = Buffer.from(bytes)
      for (let n = 1 + below(4); n > 0; n--) bytes[below(bytes.length)] = below(256)
      return bytes
    }
    case 6:
      return replaced(
        /HTTP\/1\.1/,
        pick(['HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.2', 'http/1.1', '']),
      )
    case 7:
      return replaced(
        /^\S+/,
        pick(['HEAD', 'OPTIONS', 'TRACE', 'PRI', 'GET', 'POST', 'DELETE', 'CONNECT', 'get', '\0']),
      )
    case 8:
      return replaced(/\r\n/g, pick(['\n', '\r', '\r\r\n']))
    case 9:
      return Buffer.concat(Array.from({ length: 1 + below(200) }, () => bytes))
    default:
      return bytes
  }
}
