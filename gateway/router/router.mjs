/**
 * The router of an app whose owners share it on Fly: it answers each request with the machine of its
 * owner, and Fly's proxy sends the request there (fly-replay). No request passes through this program.
 * Source: superfly/docs, networking/dynamic-request-routing.
 */
import { createServer } from 'node:http'

const { env } = process
const app = env.TARMAC_ROUTER_APP ?? ''
const domain = (env.TARMAC_ROUTER_DOMAIN ?? '').toLowerCase()
const routes = readRoutes()
const turns = new Map()

/** Fly replays no larger request. */
const maxBytes = 1_000_000
/** How long Fly's proxy tries to reach a machine. A machine that sleeps starts in this time. */
const timeout = '10s'
const health = '/.well-known/tarmac-router'
/** They choose a machine, as the replay does. */
const choosers = ['instance-id', 'region'].flatMap((what) => [
  `fly-force-${what}`,
  `fly-prefer-${what}`,
])

/** The machines of each owner: JSON in parts, because the system limits the size of a variable. */
function readRoutes() {
  const parts = []
  for (let n = 0; env[`TARMAC_ROUTES_${n}`] !== undefined; n++)
    parts.push(env[`TARMAC_ROUTES_${n}`])
  return new Map(Object.entries(JSON.parse(parts.join('') || '{}')))
}

/** What a request says of its owner. The first that says anything counts. Null: nothing does. */
function ownerOf({ url, headers }) {
  const named = headers['tarmac-owner']
  if (named !== undefined) return { owner: named, path: null }

  const host = (headers.host ?? '').toLowerCase().replace(/:\d{1,5}$/, '')
  if (domain !== '' && host.endsWith(`.${domain}`))
    return { owner: host.slice(0, -domain.length - 1), path: null }

  const [, owner, path] = /^\/(?:~|%7e)([^/?]*)(.*)$/is.exec(url) ?? []
  return owner === undefined ? null : { owner, path }
}

function answerTo(request) {
  const failed = request.headers['fly-replay-failed']
  if (failed !== undefined) return failure(String(failed), request)
  const found = ownerOf(request)
  if (!found && request.url === health) return json(200, { owners: routes.size })
  if (!found) return noOwner()

  const { owner, path } = found
  const machines = routes.get(owner)
  if (!machines?.length) return unknownOwner(owner)
  // Relative links of the owner's pages would lose the owner.
  if (path !== null && !path.startsWith('/'))
    return { status: 308, headers: { location: `/~${owner}/${path}` }, body: '' }

  const turn = turns.get(owner) ?? 0
  turns.set(owner, turn + 1)
  return replay(request, { owner, path, machine: machines[turn % machines.length] })
}

function replay({ method }, { owner, path, machine }) {
  const to = { app, instance: machine, timeout, fallback: 'force_self' }
  // An answer to HEAD has no body, so it cannot ask for another path.
  if (method === 'HEAD' && path !== null) return headByPath(owner)
  if (method === 'HEAD') {
    const fields = Object.entries(to).map(([name, value]) => `${name}=${value}`)
    return { status: 200, headers: { 'fly-replay': fields.join(';') }, body: '' }
  }

  const set = {
    'tarmac-owner': owner,
    ...(path !== null && { 'x-forwarded-prefix': `/~${owner}` }),
  }
  const transform = {
    ...(path !== null && { path }),
    delete_headers: choosers,
    set_headers: Object.entries(set).map(([name, value]) => ({ name, value })),
  }
  const headers = { 'content-type': 'application/vnd.fly.replay+json' }
  return { status: 200, headers, body: JSON.stringify({ ...to, transform }) }
}

const noOwner = () =>
  problem(404, 'owner-missing', 'The request names no owner', [
    `Name the owner of ${app} in the header tarmac-owner, or as the first part of the path: /~OWNER/.`,
    ...(domain === '' ? [] : [`Or use the host OWNER.${domain}.`]),
  ])

const unknownOwner = (owner) =>
  problem(404, 'owner-not-found', 'The owner has no machine', [
    `${app} has no machine of the owner "${shown(owner)}". To list its owners: tarmac owners ${app}.`,
  ])

const headByPath = (owner) =>
  problem(
    405,
    'head-by-path',
    'HEAD needs the header tarmac-owner',
    [
      `Fly's proxy cannot change the path of a HEAD request. Send it with the header tarmac-owner: ${owner}, and without /~${owner}.`,
    ],
    { allow: 'GET, POST, PUT, PATCH, DELETE, OPTIONS' },
  )

/**
 * Fly's proxy did not reach the machine, and gives the request back with a header that says so. Fly's
 * documentation does not say that its proxy removes this header from a caller's request, so nothing
 * is answered by it that the request does not name itself.
 */
function failure(text, request) {
  const owner = ownerOf(request)?.owner ?? ''
  const [, named = ''] = /(?:^|;)instance=([^;]*)/.exec(text) ?? []
  const machine = routes.get(owner)?.includes(named) ? `machine ${named}` : 'the machine'
  const [, reason = 'unknown'] = /(?:^|;)reason=([\w-]{1,50})(?:;|$)/.exec(text) ?? []
  return problem(
    503,
    'owner-unavailable',
    'The machine of the owner does not answer',
    [
      `Fly's proxy did not reach ${machine} of the owner "${shown(owner)}" of ${app} in ${timeout} (${reason}).`,
      `It may be starting, stopped, or just replaced: try again. To see it: tarmac machines ${app}.`,
    ],
    { 'retry-after': '2' },
  )
}

function tooLarge(request) {
  const owner = ownerOf(request)?.owner ?? ''
  const [machine] = routes.get(owner) ?? []
  if (machine === undefined) return answerTo(request)
  return problem(413, 'too-large', 'The request is over 1 MB', [
    `Fly's proxy replays no request over ${maxBytes} bytes, so the router cannot send it to ${owner}.`,
    `Send it from the private network to http://${machine}.vm.${app}.internal:PORT, where the program listens; the machine must run.`,
    `If ${app} has an address of its own, send it there with the header fly-force-instance-id: ${machine}.`,
  ])
}

const shown = (text) => text.slice(0, 100).replace(/[^\x20-\x7e]|"/g, '?')

function problem(status, code, title, sentences, headers = {}) {
  const body = { type: 'about:blank', code, title, status, detail: sentences.join(' ') }
  return json(status, body, { 'content-type': 'application/problem+json', ...headers })
}

const json = (status, body, headers = { 'content-type': 'application/json' }) => ({
  status,
  headers: { 'cache-control': 'no-store', ...headers },
  body: `${JSON.stringify(body)}\n`,
})

// Without a listener for upgrades, a WebSocket's handshake is a request like others. It is replayed too.
const server = createServer((request, response) => {
  const send = ({ status, headers, body }) => {
    if (response.headersSent) return
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
    response.end(body)
  }
  // What is refused is read to its end: a sender that is cut off may not see the answer.
  let bytes = 0
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) send(tooLarge(request))
  request.on('data', (chunk) => {
    bytes += chunk.length
    if (bytes > maxBytes) send(tooLarge(request))
  })
  // The body must have arrived: only then is it known to be small enough.
  request.on('end', () => send(answerTo(request)))
})

server.listen(Number(env.PORT ?? 8080), () => {
  const { port } = server.address()
  process.stdout.write(`routes to ${routes.size} owners of ${app}, on port ${port}\n`)
})
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => {
    server.close()
    server.closeIdleConnections()
  })
