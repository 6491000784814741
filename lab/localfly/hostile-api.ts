import { randomBytes, randomUUID } from 'node:crypto'
import { type IncomingMessage, request, type RequestListener, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { type Case, type Fault, faults, type Hostile, type Refusal, refusals } from './hostile.ts'
import type { FlyState, Machine } from './state.ts'

const atCall = (Object.keys(faults) as Fault[]).filter((fault) => faults[fault].at === 'call')
const withoutNonce = atCall.filter((fault) => fault !== 'lease-stolen')

/** A handler before the API. It passes, delays, spoils or swallows calls as `hostile` decides. */
export function hostileApi(parts: {
  api: RequestListener
  state: FlyState
  hostile: Hostile
}): RequestListener {
  const { api, state, hostile } = parts
  return (req, res) => {
    const met = caseOf(req, state)
    if (!met || req.headers[lateHeader] === lateMark) return api(req, res)
    const nonce = req.headers['fly-machine-lease-nonce']
    const struck = hostile.strikes(nonce ? atCall : withoutNonce, met)
    const skewMs = hostile.skewMs(met.app)
    if (skewMs) atEnd(res, (text, send) => send(shifted(text, skewMs)))
    if (req.method === 'GET' && !req.url?.includes('/logs'))
      atEnd(res, (text, send) => send(withoutGone(text, state, hostile)))
    else if (met.machine && hostile.isGone(met.machine))
      return void refuse(res, 503, "unavailable: the machine's host is unreachable")
    if (struck && spoil[struck.fault]?.({ req, res, ...struck, machine: met.machine })) return
    api(req, res)
  }
}

type Spoiled = {
  req: IncomingMessage
  res: ServerResponse
  ms: number
  refusal: Refusal
  machine: Machine | undefined
}

const withoutSockets = (key: string, value: unknown) => (key === 'listen_sockets' ? [] : value)

const timedOut = { error: 'deadline_exceeded: context deadline exceeded' }
/** Marks a call that this process repeats. */
const lateHeader = 'x-localfly-late'
const lateMark = randomUUID()

/** Executes a call that was answered before. */
function repeat(
  { method, url, headers: { 'transfer-encoding': _chunked, ...headers } }: IncomingMessage,
  { host, port, body }: { host: string | undefined; port: number | undefined; body: Buffer },
): void {
  const sent = { ...headers, [lateHeader]: lateMark, 'content-length': body.length }
  const call = request({ host, port, method, path: url, headers: sent, agent: false })
  call.on('response', (answer) => answer.resume()).on('error', () => {})
  call.end(body)
}

/** The effect of each fault on a call. When it returns true, the call is not executed. */
const spoil: Partial<Record<Fault, (call: Spoiled) => true | void>> = {
  'rate-limit': ({ res, ms }) => {
    if (ms) res.setHeader('Retry-After', Math.ceil(ms / 1000))
    return refuse(res, 429, 'rate limit exceeded')
  },
  'error-before': ({ res }) => refuse(res, 503, 'unavailable: try again later'),
  'error-after': ({ res }) =>
    atEnd(res, (_text, send) => send('{"error":"internal server error"}', 500)),
  'timeout-after': ({ res }) => atEnd(res, (_text, send) => send(JSON.stringify(timedOut), 408)),
  late: ({ req, res, ms }) => {
    const { localAddress: host, localPort: port } = req.socket
    void buffer(req).then((body) => setTimeout(repeat, ms, req, { host, port, body }).unref())
    return refuse(res, 408, timedOut.error)
  },
  refused: ({ res, refusal }) => {
    const [httpStatus, error, status]: readonly [number, string, string?] = refusals[refusal]
    return refuse(res, httpStatus, error, status)
  },
  denied: ({ res }) => refuse(res, 403, 'unauthorized'),
  edge: ({ res }) => {
    res.statusCode = 502
    res.end('<html><body><h1>502 Bad Gateway</h1></body></html>')
    return true
  },
  unseen: ({ res }) => refuse(res, 404, 'not_found: not found'),
  'cut-before': ({ req }) => {
    req.socket.destroy()
    return true
  },
  cut: ({ req, res }) => atEnd(res, () => req.socket.destroy()),
  'cut-midway': ({ req, res }) =>
    atEnd(
      res,
      (text) => void res.write(text.slice(0, text.length / 2), () => req.socket.destroy()),
    ),
  slow: ({ res, ms }) => atEnd(res, (text, send) => void setTimeout(send, ms, text)),
  'old-init': ({ req, res }) => {
    if (!req.url?.split('?')[0]?.endsWith('/ps')) return
    atEnd(res, (text, send) => send(JSON.stringify(JSON.parse(text, withoutSockets))))
  },
  'lease-stolen': ({ machine, ms }) => machine && steal(machine, ms),
}

/**
 * The app and machine in a call's path, or null for a call to no app. The web API's changes of
 * releases and an organisation's lists do not name an app there.
 */
function caseOf({ method, url = '' }: IncomingMessage, state: FlyState): Case | null {
  const [path = ''] = url.split('?')
  const [, web] = /^\/api\/v1(\/releases.*)$/.exec(path) ?? []
  if (web !== undefined) return { app: '', call: `${method} ${web}` }
  const [, call, app, id] =
    /^\/v1(\/apps(?:\/([^/]+)(?:\/machines\/([^/]+))?.*)?)$/.exec(path) ?? []
  if (call === undefined) {
    const [, listed] = /^\/v1(\/orgs\/.*)$/.exec(path) ?? []
    return listed === undefined ? null : { app: '', call: `${method} ${listed}` }
  }
  return { app: app ?? '', machine: state.machines.get(id ?? ''), call: `${method} ${call}` }
}

/** Receives the answer's body before it is sent. The last handler added runs first. */
function atEnd(
  res: ServerResponse,
  then: (text: string, send: (text: string, status?: number) => void) => void,
): void {
  const end = res.end.bind(res)
  const send = (text: string, status = res.statusCode) => {
    res.statusCode = status
    if (text) res.setHeader('Content-Length', Buffer.byteLength(text))
    end(text)
  }
  res.end = (body?: unknown) => {
    then(
      body instanceof Uint8Array || typeof body === 'string' ? Buffer.from(body).toString() : '',
      send,
    )
    return res
  }
}

function refuse(res: ServerResponse, httpStatus: number, error: string, status?: string): true {
  res.statusCode = httpStatus
  res.setHeader('content-type', 'application/json')
  res.end(JSON.stringify({ error, status }))
  return true
}

function steal(machine: Machine, ms: number): void {
  const nonce = randomBytes(6).toString('hex')
  const expires_at = Math.ceil((Date.now() + ms) / 1000)
  machine.own.lease = {
    nonce,
    expires_at,
    owner: 'thief@tokens.fly.io',
    version: '',
    description: 'stolen',
  }
}

function withoutGone(text: string, state: FlyState, hostile: Hostile): string {
  const anyGone = [...state.machines.values()].some((machine) => hostile.isGone(machine))
  if (!anyGone || !/^[[{]/.test(text)) return text
  return JSON.stringify(JSON.parse(text), (_key, value: unknown) => {
    const { id, config } = (value ?? {}) as { id?: unknown; config?: unknown }
    const machine = typeof id === 'string' && config ? state.machines.get(id) : undefined
    if (!machine || !hostile.isGone(machine)) return value
    return {
      ...(value as object),
      host_status: 'unreachable',
      config: null,
      incomplete_config: config,
    }
  })
}

/**
 * Shifts every time in a body: ISO 8601, and Unix time in seconds or milliseconds under Fly's field
 * names.
 */
function shifted(text: string, skewMs: number): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, (at) =>
      new Date(Date.parse(at) + skewMs).toISOString(),
    )
    .replaceAll(
      /("(?:timestamp|created_at)":)(\d{13})/g,
      (_, name: string, at: string) => name + (+at + skewMs),
    )
    .replaceAll(
      /("expires_at":)(\d{10})/g,
      (_, name: string, at: string) => name + (+at + Math.round(skewMs / 1000)),
    )
}
