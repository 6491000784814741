/**
 * The messages of BuildKit's control and session services that the gateway uses. Field numbers are
 * from its .proto files.
 */
import { bool, bytes, int, many, map, message, one, string, Timestamp } from '../llb/wire.ts'
import type { Decoded, Encodable } from '../llb/wire.ts'

const Nothing = message({})

const Exporter = message({ type: one(1, string), attrs: map(2, string) })
const CacheEntry = message({ type: one(1, string), attrs: map(2, string) })
const SolveRequest = message({
  ref: one(1, string),
  definition: one(2, bytes),
  session: one(5, string),
  frontend: one(6, string),
  frontendAttrs: map(7, string),
  cache: one(8, message({ exports: many(4, CacheEntry), imports: many(5, CacheEntry) })),
  // Each is an encoded Definition.
  frontendInputs: map(10, bytes),
  internal: one(11, bool),
  exporters: many(13, Exporter),
  sourcePolicySession: one(15, string),
})
const SolveResponse = message({ exporterResponse: map(1, string) })

const Vertex = message({
  digest: one(1, string),
  inputs: many(2, string),
  name: one(3, string),
  cached: one(4, bool),
  started: one(5, Timestamp),
  completed: one(6, Timestamp),
  error: one(7, string),
})
const VertexStatus = message({
  id: one(1, string),
  vertex: one(2, string),
  started: one(7, Timestamp),
})
/**
 * `stream` is 1 for stdout and 2 for stderr. `text` may be cut anywhere, even inside a character.
 */
const VertexLog = message({ vertex: one(1, string), stream: one(3, int), text: one(4, bytes) })
const Position = message({ line: one(1, int) })
/** A finding of the linter of Dockerfiles, with the place of its cause: lines count from 1. */
const VertexWarning = message({
  vertex: one(1, string),
  short: one(3, bytes),
  url: one(5, string),
  /** `data`: the whole Dockerfile. */
  info: one(6, message({ file: one(1, string), data: one(2, bytes) })),
  ranges: many(7, message({ start: one(1, Position), end: one(2, Position) })),
})
export const StatusResponse = message({
  vertexes: many(1, Vertex),
  statuses: many(2, VertexStatus),
  logs: many(3, VertexLog),
  warnings: many(4, VertexWarning),
})
export type StatusResponse = Decoded<typeof StatusResponse>

const BuildkitVersion = message({ version: one(2, string) })
const Platform = message({
  architecture: one(1, string),
  os: one(2, string),
  variant: one(3, string),
})
const WorkerRecord = message({ platforms: many(3, Platform), version: one(5, BuildkitVersion) })

/** A remote procedure: its path, and the encoding of its question and its answers. */
export type Method<Ask, Answer> = {
  path: string
  ask: { encode(value: Ask): Uint8Array }
  answer: { decode(bytes: Uint8Array): Answer }
}
const control = <Ask, Answer>(
  name: string,
  ask: Method<Ask, Answer>['ask'],
  answer: Method<Ask, Answer>['answer'],
): Method<Ask, Answer> => ({ path: `/moby.buildkit.v1.Control/${name}`, ask, answer })
export const Solve = control('Solve', SolveRequest, SolveResponse)
export const Status = control('Status', message({ ref: one(1, string) }), StatusResponse)
/** One part of the build cache. `type` is like `regular` or `exec.cachemount`. */
export const UsageRecord = message({
  id: one(1, string),
  inUse: one(3, bool),
  sizeBytes: one(4, int),
  createdAt: one(6, Timestamp),
  lastUsedAt: one(7, Timestamp),
  description: one(9, string),
  type: one(10, string),
  parents: many(12, string),
})
/**
 * Removes unused cache entries that match one of the filters. With `minFreeBytes`, the least recently
 * used go first, until so much of the disk is free.
 */
export const Prune = control(
  'Prune',
  message({ filters: many(1, string), all: one(2, bool), minFreeBytes: one(6, int) }),
  UsageRecord,
)
export const DiskUsage = control('DiskUsage', Nothing, message({ records: many(1, UsageRecord) }))
export const ListWorkers = control(
  'ListWorkers',
  Nothing,
  message({ workers: many(1, WorkerRecord) }),
)
export const sessionPath = '/moby.buildkit.v1.Control/Session'
/** A piece of the byte stream inside the Session call. */
export const BytesMessage = message({ data: one(1, bytes) })

/** Questions that the daemon asks the gateway inside a session. */
export const CheckHealth = {
  path: '/grpc.health.v1.Health/Check',
  ask: Nothing,
  answer: message({ status: one(1, int) }),
}
export const Credentials = {
  path: '/moby.filesync.v1.Auth/Credentials',
  ask: message({ host: one(1, string) }),
  answer: message({ user: one(1, string), secret: one(2, string) }),
}
export const GetSecret = {
  path: '/moby.buildkit.secrets.v1.Secrets/GetSecret',
  ask: message({ id: one(1, string) }),
  answer: message({ data: one(1, bytes) }),
}

/**
 * Asks whether the build may read a source. The gateway only hands `platform` back. `image` is set
 * if the gateway asked the daemon to resolve the image.
 */
const SourceOp = message({ identifier: one(1, string), attrs: map(2, string) })
const ImageLookedUp = message({ digest: one(1, string), config: one(2, bytes) })
const SourceFacts = message({ source: one(1, SourceOp), image: one(2, ImageLookedUp) })
export const PolicyQuestion = message({ platform: one(1, bytes), about: one(2, SourceFacts) })
export type PolicyQuestion = Decoded<typeof PolicyQuestion>
export const policyAction = { allow: 0, deny: 1, convert: 2 } as const
/** Either a decision, or a request to resolve the source first. */
export const PolicyAnswer = message({
  decision: one(1, message({ action: one(1, int), update: one(3, SourceOp) })),
  lookUp: one(
    2,
    message({ source: one(1, SourceOp), platform: one(2, bytes), logName: one(3, string) }),
  ),
})
export type PolicyAnswer = Encodable<typeof PolicyAnswer>
export const CheckPolicy = {
  path: '/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy',
  ask: PolicyQuestion,
  answer: PolicyAnswer,
}

/**
 * `google.rpc.Status`, as in the trailer of a failed call. BuildKit encodes the value of each
 * detail as JSON.
 */
export const RpcStatus = message({
  code: one(1, int),
  text: one(2, string),
  details: many(3, message({ type: one(1, string), value: one(2, bytes) })),
})
