import type { IncomingHttpHeaders } from 'node:http'
import { z } from 'zod'
import type { Machine } from '../state.ts'
import type { Replay } from './replay.ts'
import { serviceOf, type Target } from './traffic.ts'

type Asked = { url: string; headers: IncomingHttpHeaders }
type Entry = { target: Target; until: number; allowsBypass: boolean }
/** What the target learns in `fly-replay-cache-status`. */
export type CacheStatus = 'miss' | 'hit' | 'bypass'

const leastSeconds = 10

const SessionRule = z.object({
  path_prefix: z.string(),
  ttl_seconds: z.number(),
  type: z.enum(['cookie', 'header']),
  name: z.string(),
  allow_bypass: z.boolean().nullish(),
})
type SessionRule = z.infer<typeof SessionRule>

/**
 * Fly's cache of replays, by path or by session (superfly/docs: networking/dynamic-request-routing,
 * "Replay Caching"). A replay with a state, a timeout, a fallback or a transformation is not cached.
 * Each host name has a cache of its own. On Fly it is an optimization that may forget at any time.
 */
export class ReplayCache {
  readonly #entries = new Map<string, Entry>()
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** The cached target of a request, or null. `machines`: those of the app that was called. */
  find(asked: Asked, machines: Machine[]): { target: Target | null; status: CacheStatus } {
    const entry = this.#keys(asked, machines)
      .map((key) => this.#entries.get(key))
      .find((found) => found !== undefined && found.until > this.#now())
    if (!entry) return { target: null, status: 'miss' }
    if (entry.allowsBypass && asked.headers['fly-replay-cache-control'] === 'skip')
      return { target: null, status: 'bypass' }
    return { target: entry.target, status: 'hit' }
  }

  /** Remembers or forgets what an answer says, and what the rules of its machine's service say. */
  learn(asked: Asked, { replay, target, from }: { replay: Replay; target: Target; from: Machine }) {
    const { cache, ...plain } = replay
    if (cache?.invalidate) {
      for (const key of this.#keys(asked, [from])) this.#entries.delete(key)
      for (const key of this.#entries.keys()) if (isFor(key, asked)) this.#entries.delete(key)
      return
    }
    if (plain.state !== undefined || plain.timeout || plain.fallback || plain.transform) return
    const keep = (key: string, seconds: number, allowsBypass = false) =>
      this.#entries.set(key, { target, until: this.#now() + seconds * 1000, allowsBypass })
    const prefix = pathKey(asked, cache?.prefix)
    if (prefix !== null && (cache?.ttl ?? 0) >= leastSeconds)
      keep(prefix, cache!.ttl!, cache!.allow_bypass)
    for (const rule of rulesOf([from])) {
      const key = sessionKey(asked, rule)
      if (key !== null) keep(key, rule.ttl_seconds, rule.allow_bypass ?? false)
    }
  }

  /** The keys that may be cached for a request, the longest path first. */
  #keys(asked: Asked, machines: Machine[]): string[] {
    const sessions = rulesOf(machines).flatMap((rule) => sessionKey(asked, rule) ?? [])
    const paths = [...this.#entries.keys()].filter((key) => isFor(key, asked))
    return [...paths.toSorted((a, b) => b.length - a.length), ...sessions]
  }
}

const hostOf = ({ headers }: Asked) => (headers.host ?? '').replace(/:\d+$/, '').toLowerCase()
const pathOf = ({ url }: Asked) => url.split('?')[0]!

/** The key of a prefix such as `/some/path/*` or `example.com/some/path/*`, if it matches. */
function pathKey(asked: Asked, prefix: string | undefined): string | null {
  if (prefix === undefined) return null
  const [, host = '', path = ''] = /^([^/]*)(\/.*?)?\/?\*?$/.exec(prefix) ?? []
  const key = `path ${host || hostOf(asked)} ${path}`
  return isFor(key, asked) ? key : null
}

function isFor(key: string, asked: Asked): boolean {
  const [kind, host, path = ''] = key.split(' ')
  const isBelow = pathOf(asked) === path || pathOf(asked).startsWith(`${path}/`)
  return kind === 'path' && host === hostOf(asked) && isBelow
}

function sessionKey(asked: Asked, { path_prefix, type, name }: SessionRule): string | null {
  const [, host = '', path = ''] = /^([^/]*)(\/.*)?$/.exec(path_prefix) ?? []
  if (host !== '' && host !== hostOf(asked)) return null
  const base = path.replace(/\/$/, '')
  if (pathOf(asked) !== base && !pathOf(asked).startsWith(`${base}/`)) return null
  const value =
    type === 'header' ? asked.headers[name.toLowerCase()]?.toString() : cookieOf(asked, name)
  return value === undefined ? null : `session ${hostOf(asked)} ${path_prefix} ${name} ${value}`
}

const cookieOf = ({ headers }: Asked, name: string): string | undefined =>
  (headers.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .find((pair) => pair.startsWith(`${name}=`))
    ?.slice(name.length + 1)

/** The rules of the machines' services, the longest path first. */
function rulesOf(machines: Machine[]): SessionRule[] {
  const rules = machines.flatMap((machine) =>
    (serviceOf(machine)?.ports ?? []).flatMap((port) => {
      const { replay_cache } = (port['http_options'] ?? {}) as { replay_cache?: unknown }
      return z.array(SessionRule).safeParse(replay_cache).data ?? []
    }),
  )
  return rules.toSorted((a, b) => b.path_prefix.length - a.path_prefix.length)
}
