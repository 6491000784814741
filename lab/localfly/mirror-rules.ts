import { z } from 'zod'

/** The kinds of requests of a push, by method and path. */
const kinds = {
  ping: /^GET \/v2\/$/,
  'HEAD blob': /^HEAD .*\/blobs\//,
  'POST upload': /^POST .*\/uploads\/$/,
  'PUT blob': /^PUT .*\/uploads\//,
  'HEAD manifest': /^HEAD .*\/manifests\//,
  'PUT manifest': /^PUT .*\/manifests\//,
} as const
const names = Object.keys(kinds) as (keyof typeof kinds)[]

/**
 * `status`: answers with it. `cut`: breaks the connection in the middle of the body. `drip`: reads
 * the body slowly. `lie`: stores it, and names another digest. `lose`: accepts it, and stores
 * nothing.
 */
const Fault = z.strictObject({
  kind: z.enum(['status', 'cut', 'drip', 'lie', 'lose']),
  status: z.number().min(400).max(599).default(500),
  /** The requests that it strikes: from number `from` of this kind, `times` of them. */
  at: z.enum(names),
  from: z.number().min(1).default(1),
  times: z.number().min(1).default(1_000_000),
})

/**
 * How the mirror behaves. Nobody outside Fly knows these facts (fly.md 12.1), so each is a switch;
 * the defaults are what public code suggests (fly.md 5.6).
 */
export const MirrorRules = z.strictObject({
  /** Whether each request must name the registry in `ns`. */
  needsNs: z.boolean().default(true),
  /** What it asks for without login. `bearer`: a token server, and no Basic login counts. */
  challenge: z.enum(['basic', 'bearer']).default('basic'),
  /** Whether only machines of apps with the role `remote-docker-builder` may push. */
  onlyBuilders: z.boolean().default(false),
  /** Which tokens may push. `org`: none that is for one app only. */
  tokens: z.enum(['any', 'org']).default('any'),
  /** When it copies an image to the registry, in milliseconds after the push. Null: never. */
  copyAfterMs: z.number().min(0).nullable().default(0),
  maxBlobBytes: z.number().min(0).nullable().default(null),
  /** Whether it refuses connections. */
  away: z.boolean().default(false),
  fault: Fault.nullable().default(null),
})
export type MirrorRules = z.infer<typeof MirrorRules>
export type MirrorOrder = z.input<typeof MirrorRules>
export type MirrorFault = z.infer<typeof Fault>

export const kindOf = (method: string, path: string): keyof typeof kinds | null =>
  names.find((name) => kinds[name].test(`${method} ${path}`)) ?? null

/** A request that reached the mirror. `bytes`: of its body, as far as the mirror read it. */
export type MirrorRequest = {
  kind: string | null
  method: string
  path: string
  status: number | null
  bytes: number
}
