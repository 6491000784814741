import { bool, bytes, int, many, map, message, one, string } from './wire.ts'
import type { Encodable } from './wire.ts'

// BuildKit's build graph in protobuf (its solver/pb/ops.proto). Only the fields that this gateway
// writes are here, under the names of BuildKit's own JSON. -1 means "none" in inputs and outputs,
// and "keep" in modes and timestamps.

const Platform = message({
  Architecture: one(1, string),
  OS: one(2, string),
  Variant: one(3, string),
})
export type Platform = Encodable<typeof Platform>

const Input = message({ digest: one(1, string), index: one(2, int) })

const SourceOp = message({ identifier: one(1, string), attrs: map(2, string) })

export const cacheMount = 3
/** How builds share a cache mount. */
export const cacheSharing = { shared: 0, locked: 2 } as const

const Meta = message({
  args: many(1, string),
  env: many(2, string),
  cwd: one(3, string),
  hostname: one(7, string),
  removeMountStubsRecursive: one(11, bool),
})
const Mount = message({
  input: one(1, int),
  dest: one(3, string),
  output: one(4, int),
  mountType: one(6, int),
  cacheOpt: one(20, message({ ID: one(1, string), sharing: one(2, int) })),
})
const SecretEnv = message({ ID: one(1, string), name: one(2, string) })
const ExecOp = message({
  meta: one(1, Meta),
  mounts: many(2, Mount),
  secretenv: many(5, SecretEnv),
})

const Copy = message({
  src: one(1, string),
  dest: one(2, string),
  mode: one(4, int),
  followSymlink: one(5, bool),
  dirCopyContents: one(6, bool),
  attemptUnpackDockerCompatibility: one(7, bool),
  createDestPath: one(8, bool),
  allowWildcard: one(9, bool),
  allowEmptyWildcard: one(10, bool),
  timestamp: one(11, int),
  exclude_patterns: many(13, string),
})
const Mkfile = message({
  path: one(1, string),
  mode: one(2, int),
  data: one(3, bytes),
  timestamp: one(5, int),
})
const Mkdir = message({
  path: one(1, string),
  mode: one(2, int),
  makeParents: one(3, bool),
  timestamp: one(5, int),
})
const FileAction = message({
  input: one(1, int),
  secondaryInput: one(2, int),
  output: one(3, int),
  copy: one(4, Copy),
  mkfile: one(5, Mkfile),
  mkdir: one(6, Mkdir),
})
export type FileAction = Encodable<typeof FileAction>
const FileOp = message({ actions: many(2, FileAction) })

const MergeOp = message({ inputs: many(1, message({ input: one(1, int) })) })

/** One operation. An operation that has only inputs is a pointer to the result. */
export const Op = message({
  inputs: many(1, Input),
  exec: one(2, ExecOp),
  source: one(3, SourceOp),
  file: one(4, FileOp),
  merge: one(6, MergeOp),
  platform: one(10, Platform),
})
export type Op = Encodable<typeof Op>

const OpMetadata = message({ ignore_cache: one(1, bool), description: map(2, string) })

/**
 * A whole graph: field 2 of a SolveRequest. `def` holds the encoded operations, inputs before
 * users, and the pointer last.
 */
export const Definition = message({ def: many(1, bytes), metadata: map(2, OpMetadata) })
