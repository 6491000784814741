import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { z } from 'zod'
import { durationMs } from '../duration.ts'
import { networkOf } from '../network/networks.ts'
import type { FlyState, Machine } from '../state.ts'
import { Refusal, type Target } from './traffic.ts'

/** Fly's limit (superfly/docs: monitoring/error-codes, PA02). */
export const maxReplays = 10
const maxJsonBytes = 1 << 20

/** What an answer asks for. All its forms: superfly/docs, networking/dynamic-request-routing. */
export type Replay = Partial<Record<(typeof fields)[number], string>> & {
  transform?: z.infer<typeof Transform>
  cache?: z.infer<typeof Cache>
}
const fields = [
  'app',
  'instance',
  'prefer_instance',
  'region',
  'elsewhere',
  'state',
  'timeout',
  'fallback',
] as const

const jsonType = 'application/vnd.fly.replay+json'

const Header = z.object({ name: z.string(), value: z.string() })
const Transform = z.object({
  path: z.string().startsWith('/').optional(),
  delete_headers: z.array(z.string()).optional(),
  set_headers: z.array(Header).optional(),
})
const Cache = z.object({
  prefix: z.string().optional(),
  ttl: z.number().optional(),
  invalidate: z.boolean().optional(),
  allow_bypass: z.boolean().optional(),
})
const Field = z.union([z.string(), z.boolean()]).transform(String).optional()
const JsonReplay = z.object({
  app: Field,
  instance: Field,
  prefer_instance: Field,
  region: Field,
  elsewhere: Field,
  state: Field,
  timeout: Field,
  fallback: Field,
  transform: Transform.optional(),
  cache: Cache.optional(),
})

/** Reads an answer's replay: a header or a JSON body. Returns null for an answer to the caller. */
export async function replayOf(answer: IncomingMessage): Promise<Replay | null> {
  const { headers } = answer
  if (headers['content-type']?.split(';')[0]?.trim() === jsonType) return readJson(answer)
  const header = headers['fly-replay']
  if (header === undefined) return null
  answer.resume()
  return { ...readReplay(String(header)), ...cacheOf(headers) }
}

/** Reads a `fly-replay` header: `app=worker;region="ams,any"`. Throws Fly's error PA03. */
export function readReplay(header: string): Replay {
  const replay: Replay = {}
  for (const part of header.split(';').filter((each) => each.trim() !== '')) {
    const [, key, quoted, plain] = /^\s*([a-z_]+)=(?:"([^"]*)"|([^"]*?))\s*$/.exec(part) ?? []
    const field = fields.find((name) => name === key)
    if (!field) throw malformed(header)
    replay[field] = quoted ?? plain ?? ''
  }
  return checked(replay, header)
}

async function readJson(answer: IncomingMessage): Promise<Replay> {
  let text = ''
  for await (const chunk of answer.setEncoding('utf8')) {
    text += String(chunk)
    if (text.length > maxJsonBytes) throw malformed('a body that is too long')
  }
  try {
    const { transform, cache, ...plain } = JsonReplay.parse(JSON.parse(text))
    const replay = Object.fromEntries(
      Object.entries(plain).filter(([, value]) => value !== undefined),
    )
    return checked({ ...replay, ...(transform && { transform }), ...(cache && { cache }) }, text)
  } catch {
    throw malformed(text)
  }
}

function checked(replay: Replay, text: string): Replay {
  if (replay.fallback && !['force_self', 'prefer_self'].includes(replay.fallback))
    throw malformed(text)
  return replay
}

const malformed = (text: string) => new Refusal(502, `PA03: malformed fly-replay: ${text}`)

function cacheOf(headers: IncomingHttpHeaders): Pick<Replay, 'cache'> {
  const said = headers['fly-replay-cache']?.toString()
  if (said === undefined) return {}
  if (said === 'invalidate') return { cache: { invalidate: true } }
  const ttl = Number(headers['fly-replay-cache-ttl-secs'] ?? Number.NaN)
  const allow_bypass = headers['fly-replay-cache-allow-bypass'] === 'yes'
  return { cache: { prefix: said, ttl, allow_bypass } }
}

/**
 * Where a replayed request goes. `from`: the machine that asked for it. The port that was called
 * selects the service of the target, too (superfly/docs: blueprints/connecting-to-user-machines,
 * "Port Matching").
 */
export function replayTarget(replay: Replay, before: Target, from: Machine): Target {
  return {
    app: replay.app ?? from.own.app,
    instance: replay.instance ?? null,
    prefer: replay.prefer_instance ?? null,
    regions: replay.region?.split(',') ?? [],
    avoid: replay.elsewhere === 'true' ? from.id : null,
    port: before.port,
  }
}

/**
 * Refuses a replay to an app that does not exist, is another organisation's, or is in another
 * network. An organisation may allow other networks (superfly/docs: "Cross-Network Routing"). How
 * Fly refuses that was observed: 502 (PageSpace spike, fly.md 2.3). localfly has no list of allowed
 * organisations.
 */
export function assertReplayable(app: string, from: string, state: FlyState): void {
  const { apps, crossNetworkReplays } = state
  const target = apps.get(app)
  if (!target) throw new Refusal(502, `PA04: replay target app not found: ${app}.`)
  if (target.org_slug !== apps.get(from)?.org_slug)
    throw new Refusal(502, `PA05: unauthorized replay target app: ${app}.`)
  const isNear = networkOf(state, app) === networkOf(state, from)
  if (!isNear && !crossNetworkReplays.has(target.org_slug))
    throw new Refusal(502, `Cross-network replays are not allowed: ${app} is in another network.`)
}

/** How long to try; null: as for any request. A number alone counts as seconds. */
export const replayMs = ({ timeout }: Replay): number | null =>
  timeout === undefined ? null : durationMs(/^\d+$/.test(timeout) ? `${timeout}s` : timeout, 0)

/** The header that says to the target where the request comes from. */
export function replaySource({ id, region }: Machine, { state }: Replay): string {
  const given = state === undefined ? '' : `;state=${state}`
  return `instance=${id};region=${region};t=${Date.now() * 1000}${given}`
}

/** A failed replay: its target, the machine that asked for it, and what came of it. */
export type FailedReplay = {
  replay: Replay
  target: Target
  from: Machine
  reason: string
  elapsedMs: number
}

/** Where the request goes when its replay has failed; null where the replay has no fallback. */
export function fallbackTarget({ replay, target, from }: FailedReplay): Target | null {
  if (!replay.fallback) return null
  const isForced = replay.fallback === 'force_self'
  const self = { app: from.own.app, regions: [], avoid: null, port: target.port }
  return { ...self, instance: isForced ? from.id : null, prefer: isForced ? null : from.id }
}

/** The header `fly-replay-failed` of a fallback. */
export function replayFailure({ target, from, reason, elapsedMs }: FailedReplay): string {
  const parts = {
    instance: target.instance ?? target.prefer ?? undefined,
    app: target.app,
    region: target.regions.join(',') || undefined,
    replay_source: from.id,
    reason,
    elapsed_ms: String(Math.round(elapsedMs)),
  }
  return Object.entries(parts)
    .flatMap(([name, value]) => (value === undefined ? [] : `${name}=${value}`))
    .join(';')
}

type Request = { url: string; headers: IncomingHttpHeaders }

/** The request as the target of a replay gets it. */
export function transformed({ url, headers }: Request, { transform = {} }: Replay): Request {
  const removed = new Set(transform.delete_headers?.map((name) => name.toLowerCase()))
  const left = Object.entries(headers).filter(([name]) => !removed.has(name))
  const set = (transform.set_headers ?? []).map(({ name, value }) => [name.toLowerCase(), value])
  return {
    url: transform.path ?? url,
    headers: { ...Object.fromEntries(left), ...Object.fromEntries(set) },
  }
}
