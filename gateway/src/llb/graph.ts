import { createHash } from 'node:crypto'
import { byteOrder } from '../go/byte-order.ts'
import { cacheMount, Definition, Op } from './ops.ts'
import type { FileAction, Platform } from './ops.ts'

/**
 * An operation as a value. Its result is its output 0. Nodes with equal digests are one operation
 * to BuildKit.
 */
export type Node = {
  readonly op: Op
  readonly bytes: Uint8Array
  readonly digest: string
  readonly inputs: readonly Node[]
  /** The name of the step in the progress. */
  readonly name: string | undefined
}
/** A file system: the output of a node, or an empty one (null). */
export type Tree = Node | null
export const scratch: Tree = null

export const image = (identifier: string, platform: Platform, name?: string): Node =>
  node({ source: { identifier: `docker-image://${identifier}` }, platform }, noInputs, name)

/**
 * Downloads one file from a web server. With a `checksum` (`sha256:…`), BuildKit downloads only if
 * it lacks the bytes. The default `mode` is 0600.
 */
export const http = (
  url: string,
  file: { filename: string; checksum?: string | undefined; mode?: number },
  name?: string,
): Node => {
  const attrs = {
    'http.filename': file.filename,
    ...(file.checksum && { 'http.checksum': file.checksum }),
    ...(file.mode !== undefined && { 'http.perm': `0${file.mode.toString(8)}` }),
  }
  return node({ source: { identifier: url, attrs } }, noInputs, name)
}

export type Exec = {
  args: string[]
  env?: string[]
  cwd: string
  hostname?: string
  /** Names of secrets. Each becomes an environment variable of the same name. */
  secrets?: readonly string[]
  mounts?: Mount[]
  platform: Platform
}
export type Mount = { dest: string } & ({ from: Tree } | { cache: { ID: string; sharing: number } })

/** Runs a command on a file system. The output is the changed file system. */
export function exec(
  root: Tree,
  { args, env = [], cwd, hostname = '', secrets = [], mounts = [], platform }: Exec,
  name?: string,
) {
  const slots = new Slots()
  let outputs = 0
  const all: Mount[] = [{ dest: '/', from: root }, ...mounts]
  const sorted = all.toSorted((a, b) => byteOrder(a.dest, b.dest))
  const written = sorted.map((mount) =>
    'cache' in mount
      ? { input: -1, dest: mount.dest, output: -1, mountType: cacheMount, cacheOpt: mount.cache }
      : { input: slots.of(mount.from), dest: mount.dest, output: outputs++ },
  )
  const meta = { args, env, cwd, ...(hostname && { hostname }), removeMountStubsRecursive: true }
  const secretenv = secrets.map((secret) => ({ ID: secret, name: secret }))
  return node({ exec: { meta, mounts: written, secretenv }, platform }, slots, name)
}

type CopyOptions = Omit<NonNullable<FileAction['copy']>, 'mode' | 'timestamp'>

/** Copies from one file system into another, and keeps modes and times. */
export const copy = (onto: Tree, from: Tree, options: CopyOptions, name?: string): Node =>
  file(onto, from, { copy: { ...options, mode: -1, timestamp: -1 } }, name)

export const mkdir = (onto: Tree, path: string, mode: number): Node =>
  file(onto, scratch, { mkdir: { path, mode, makeParents: true, timestamp: -1 } })

export const mkfile = (
  onto: Tree,
  { path, mode, data }: { path: string; mode: number; data: string | Uint8Array },
  name?: string,
): Node =>
  file(onto, scratch, { mkfile: { path, mode, data: Buffer.from(data), timestamp: -1 } }, name)

function file(onto: Tree, from: Tree, action: FileAction, name?: string): Node {
  const slots = new Slots()
  const places = { input: slots.of(onto), secondaryInput: slots.of(from), output: 0 }
  return node({ file: { actions: [{ ...places, ...action }] } }, slots, name)
}

/**
 * Merges file systems, the last on top. It drops empty ones, and returns a single one unchanged.
 */
export function merge(trees: Tree[], name?: string): Tree {
  const layers = trees.filter((tree) => tree !== null)
  if (layers.length < 2) return layers[0] ?? scratch
  // Here equal layers keep separate slots.
  const slots = { nodes: layers, digests: layers.map(({ digest }) => digest) }
  return node({ merge: { inputs: layers.map((_, input) => ({ input })) } }, slots, name)
}

/**
 * All operations that a node depends on, and the node itself. Inputs come before users, and equal
 * operations once.
 */
export function operations(result: Node): Node[] {
  const found = new Map<string, Node>()
  const visited = new Set<Node>()
  const path = [{ node: result, next: 0 }]
  for (let at = path.at(-1); at; at = path.at(-1)) {
    const input = at.node.inputs[at.next++]
    if (input && !visited.has(input)) path.push({ node: input, next: 0 })
    if (input) continue
    visited.add(at.node)
    // Equal operations with different names get the name of the last one visited.
    const known = found.get(at.node.digest)
    if (!known || at.node.name) found.set(at.node.digest, at.node)
    path.pop()
  }
  return [...found.values()]
}

/**
 * Encodes the graph that ends in `result`. `ignoreCache`: every command runs again, whatever is
 * cached.
 */
export function marshal(result: Node, { ignoreCache = false } = {}): Uint8Array {
  const nodes = operations(result)
  const metadata = nodes.map(({ digest, op, name }) => [
    digest,
    {
      ignore_cache: ignoreCache && op.exec !== undefined,
      description: name ? { 'llb.customname': name } : {},
    },
  ])
  const pointer = Op.encode({ inputs: [{ digest: result.digest }] })
  return Definition.encode({
    def: [...nodes.map(({ bytes }) => bytes), pointer],
    metadata: Object.fromEntries(metadata),
  })
}

function node(own: Op, { nodes, digests }: Inputs, name: string | undefined): Node {
  const op = { inputs: digests.map((digest) => ({ digest })), ...own }
  const bytes = Op.encode(op)
  return {
    op,
    bytes,
    digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}`,
    inputs: nodes,
    name,
  }
}

type Inputs = { readonly nodes: readonly Node[]; readonly digests: readonly string[] }
const noInputs: Inputs = { nodes: [], digests: [] }

/**
 * The inputs of an operation. Equal file systems share one slot, and the empty one has none (-1).
 */
class Slots implements Inputs {
  readonly nodes: Node[] = []
  readonly digests: string[] = []

  of(tree: Tree): number {
    if (!tree) return -1
    this.nodes.push(tree) // even if it shares a slot, because its name counts
    const known = this.digests.indexOf(tree.digest)
    return known >= 0 ? known : this.digests.push(tree.digest) - 1
  }
}
