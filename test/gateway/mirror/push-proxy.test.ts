import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { ForwardLimits } from '../../../gateway/src/mirror/forward.ts'
import type { MirrorPush } from '../../../gateway/src/mirror/mirror-push.ts'
import { PushProxy } from '../../../gateway/src/mirror/push-proxy.ts'
import { digestOf, type Mischief, PushRegistry } from '../../fakes/push-registry.ts'

const limits: ForwardLimits = {
  connectMs: 3000,
  answerMs: 10_000,
  windowMs: 10_000,
  minBytesPerS: 1024,
}
const blob = randomBytes(300_000)
const manifest = JSON.stringify({ schemaVersion: 2, config: { digest: digestOf(blob) } })

async function start(more: Partial<ForwardLimits> = {}) {
  await using opening = new AsyncDisposableStack()
  const mirror = opening.use(await PushRegistry.start())
  let tokens = 0
  const proxy = opening.use(
    await PushProxy.open({
      port: 0,
      machine: 'm1',
      limits: { ...limits, ...more },
      mirror: {
        origin: mirror.origin,
        registry: 'registry.fly.io',
        authorization: () => `Basic ${btoa(`x:token-${++tokens}`)}`,
      },
    }),
  )
  const open = opening.move()
  return { mirror, proxy, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

const headersOf = ({ login }: MirrorPush) => ({
  authorization: `Basic ${btoa(`${login.user}:${login.secret}`)}`,
})

/** Sends a body as the build daemon does: from a stream, with its length. */
function put(url: string, headers: Record<string, string>, body: Readable, size: number) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const call = request(url, { method: 'PUT', headers: { ...headers, 'content-length': size } })
    call.once('error', reject).once('response', async (answer) => {
      const text = (await buffer(answer)).toString()
      resolve({ status: answer.statusCode ?? 0, text })
    })
    body.pipe(call)
  })
}

/** Pushes one blob and a manifest as the build daemon does. Returns the statuses. */
async function pushAll(push: MirrorPush, bytes = blob): Promise<number[]> {
  const headers = headersOf(push)
  const base = `http://${push.host}/v2/${push.app}`
  const statuses: number[] = []
  const send = async (method: string, path: string, body?: string) => {
    const more = body === undefined ? {} : { body }
    const answer = await fetch(path.startsWith('http') ? path : base + path, {
      method,
      headers,
      ...more,
    })
    statuses.push(answer.status)
    return answer
  }
  await send('HEAD', `/blobs/${digestOf(bytes)}`)
  const from = '?mount=sha256:aa&from=other'
  const location = (await send('POST', `/blobs/uploads/${from}`)).headers.get('location')
  if (location === null) return statuses
  const upload = `${location}&digest=${digestOf(bytes)}`
  const pieces = Array.from({ length: Math.ceil(bytes.length / 10_000) }, (_, at) =>
    bytes.subarray(at * 10_000, (at + 1) * 10_000),
  )
  const { status } = await put(upload, headers, Readable.from(pieces), bytes.length)
  statuses.push(status)
  await send('PUT', '/manifests/deployment-1', manifest)
  return statuses
}

test('a push goes through to the mirror with ns, a fresh login each time, and uploads that lead back', async () => {
  await using lab = await start()
  using push = lab.proxy.begin('web', () => {})
  expect(await pushAll(push)).toEqual([404, 202, 201, 201])
  expect(push.failure).toBeNull()
  expect(lab.mirror.blobs.get(digestOf(blob))).toEqual(blob)
  expect(lab.mirror.manifests.get('web:deployment-1')?.toString()).toBe(manifest)

  const { asked } = lab.mirror
  expect(asked.map(({ url }) => url.searchParams.getAll('ns'))).toEqual(
    asked.map(() => ['registry.fly.io']),
  )
  expect(asked.map(({ headers }) => headers.authorization)).toEqual(
    [1, 2, 3, 4].map((number) => `Basic ${btoa(`x:token-${number}`)}`),
  )
  for (const { url, headers } of asked) {
    expect(url.searchParams.has('mount') || url.searchParams.has('from')).toBe(false)
    expect(headers.host).toBe(new URL(lab.mirror.origin).host)
  }
})

test('the proxy serves only an open push, and only the repository of its app', async () => {
  await using lab = await start()
  const push = lab.proxy.begin('web', () => {})
  const url = `http://${push.host}/v2/web/blobs/${digestOf(blob)}`
  const ask = (url: string, headers: Record<string, string>) =>
    fetch(url, { method: 'HEAD', headers })

  const stranger = await ask(url, {})
  expect([stranger.status, stranger.headers.get('www-authenticate')]).toEqual([
    401,
    'Basic realm="tarmac"',
  ])
  expect((await ask(`http://${push.host}/v2/`, headersOf(push))).status).toBe(200)
  for (const path of ['other/blobs/x', 'web/../other/blobs/x', 'web2/blobs/x'])
    expect((await ask(`http://${push.host}/v2/${path}`, headersOf(push))).status).toBe(403)
  push.succeeded()
  expect((await ask(url, headersOf(push))).status).toBe(401)
  expect(lab.mirror.asked).toEqual([])
})

const at =
  (method: string, kind: RegExp, then: Mischief): Mischief =>
  (asked, request, response) =>
    asked.method === method && kind.test(asked.url.pathname) && then(asked, request, response)
const answers =
  (status: number, body = ''): Mischief =>
  (_asked, request, response) => {
    request.resume().on('end', () => response.writeHead(status).end(body))
    return true
  }
const cut: Mischief = async (_asked, request) => {
  for await (const _chunk of request) break
  request.socket.destroy()
  return true
}

const faults: [string, Mischief, RegExp][] = [
  [
    'HEAD is 401',
    at('HEAD', /blobs/, answers(401)),
    /^answered 401 \(HEAD \/v2\/web\/blobs\/sha256:/,
  ],
  ['HEAD is 403', at('HEAD', /blobs/, answers(403)), /^answered 403 /],
  ['HEAD is 500', at('HEAD', /blobs/, answers(500)), /^answered 500 /],
  [
    'POST is 404',
    at('POST', /uploads/, answers(404, '{"errors": [{"code": "NAME_UNKNOWN"}]}')),
    /^answered 404 \(POST \/v2\/web\/blobs\/uploads\/: \{"errors": \[\{"code": "NAME_UNKNOWN"\}\]\}\)$/,
  ],
  [
    'the answer repeats the login',
    at('POST', /uploads/, ({ headers }, _request, response) =>
      response.writeHead(403).end(`you sent ${headers.authorization}, so token-2`),
    ),
    /: you sent Basic \*\*\*, so \*\*\*\)$/,
  ],
  ['POST is 503', at('POST', /uploads/, answers(503)), /^answered 503 /],
  ['an upload is 413', at('PUT', /uploads/, answers(413)), /^answered 413 /],
  ['an upload is cut in the middle', at('PUT', /uploads/, cut), /^broke the connection \(E/],
  ['the manifest is 500', at('PUT', /manifests/, answers(500)), /^answered 500 \(PUT /],
  [
    'a blob’s digest lies',
    at('PUT', /uploads/, (_asked, request, response) => {
      request.resume().on('end', () => {
        response.writeHead(201, { 'docker-content-digest': digestOf('x') }).end()
      })
      return true
    }),
    /^named another digest than it was sent/,
  ],
  [
    'the manifest’s digest lies',
    at('PUT', /manifests/, (_asked, request, response) => {
      request.resume().on('end', () => {
        response.writeHead(201, { 'docker-content-digest': digestOf('x') }).end()
      })
      return true
    }),
    /^named another digest than it was sent/,
  ],
  [
    'uploads lead elsewhere',
    at('POST', /uploads/, (_asked, _request, response) => {
      response.writeHead(202, { location: 'http://elsewhere.example/v2/x' }).end()
      return true
    }),
    /^sends uploads to another server \(http:\/\/elsewhere\.example\)$/,
  ],
]
test.each(faults)(
  'when %s, the push fails once and nothing more of it reaches the mirror',
  async (_name, mischief, failure) => {
    await using lab = await start()
    lab.mirror.mischief = mischief
    using push = lab.proxy.begin('web', () => {})
    const statuses = await pushAll(push)
    expect(statuses.at(-1)).toBe(400)
    expect(push.failure?.message).toMatch(failure)

    const reached = lab.mirror.asked.length
    expect(new Set(await pushAll(push))).toEqual(new Set([400]))
    expect(lab.mirror.asked).toHaveLength(reached)
  },
)

test('a mirror that is gone fails the push; one that never answers is given up after a limit', async () => {
  await using lab = await start({ answerMs: 200 })
  lab.mirror.mischief = at('HEAD', /blobs/, () => true)
  using silent = lab.proxy.begin('web', () => {})
  expect((await pushAll(silent))[0]).toBe(400)
  expect(silent.failure?.message).toBe('did not answer within 0.2 s')

  await lab.mirror[Symbol.asyncDispose]()
  using push = lab.proxy.begin('web', () => {})
  expect((await pushAll(push))[0]).toBe(400)
  expect(push.failure?.message).toBe('cannot be reached (ECONNREFUSED)')
})

test('a mirror that takes a blob drop by drop is given up, and no more is read from the daemon than it takes', async () => {
  await using lab = await start({ windowMs: 300, minBytesPerS: 100 * 2 ** 20 })
  lab.mirror.mischief = at('PUT', /uploads/, async (_asked, request) => {
    for await (const _chunk of request) await wait(20)
    return true
  })
  using push = lab.proxy.begin('web', () => {})
  const location = (
    await fetch(`http://${push.host}/v2/web/blobs/uploads/`, {
      method: 'POST',
      headers: headersOf(push),
    })
  ).headers.get('location')

  let sent = 0
  const piece = Buffer.alloc(65_536)
  const size = 200 * 2 ** 20
  const body = new Readable({
    read() {
      sent += piece.length
      this.push(push.failure ? null : piece)
    },
  })
  const ended = put(`${location}&digest=${digestOf('x')}`, headersOf(push), body, size)
  await ended.catch(() => {})
  expect(push.failure?.message).toMatch(/^took less than 102400 KiB per second/)
  expect(sent).toBeLessThan(size / 4)
})

test('a daemon that goes away is not the mirror’s fault', async () => {
  await using lab = await start()
  const outcomes: unknown[] = []
  const reached = Promise.withResolvers<void>()
  lab.mirror.mischief = at('PUT', /uploads/, () => (reached.resolve(), true))
  const push = lab.proxy.begin('web', (...outcome) => outcomes.push(outcome))
  const location = (
    await fetch(`http://${push.host}/v2/web/blobs/uploads/`, {
      method: 'POST',
      headers: headersOf(push),
    })
  ).headers.get('location')
  const call = request(`${location}&digest=x`, {
    method: 'PUT',
    headers: { ...headersOf(push), 'content-length': 1000 },
  })
  call.on('error', () => {}).write('begin')
  await reached.promise
  call.destroy()
  await lab.proxy[Symbol.asyncDispose]()
  expect(push.failure).toBeNull()
  push[Symbol.dispose]()
  expect(outcomes).toEqual([['stopped', undefined]])
})
