import type { Node } from '../gateway/src/llb/graph.ts'
import { compilePlan } from '../gateway/src/railpack/compile/compile.ts'
import { readPlan } from '../gateway/src/railpack/plan-schema.ts'
import { sourceTree } from '../gateway/src/buildkit/context/source-node.ts'
import { difference } from './difference.ts'

/**
 * One recorded case: a plan, and the result of railpack's own frontend. The frontend was built from
 * commit b5e80580, four commits after the tag v0.37.0. It calls itself 0.37.0, too. Its
 * plans are the tag's, but since 2ad29a48 its frontend removes folders that are twice on the PATH.
 */
export type RailpackCase = {
  options: { cacheKey?: string; secretsHash?: string; platform: string }
  plan: unknown
  ops: RecordedOp[]
  /** Absent: it was not recorded, so it is not compared. */
  image?: { config: { Env: string[] } }
}
type RecordedOp = { name?: string; inputs?: string[]; op: Record<string, unknown> }

/** The first difference between our result for a plan and the recorded one, or null. */
export function railpackDifference({ options, plan, ops, image }: RailpackCase): string | null {
  const source = sourceTree({ url: 'http://127.0.0.1/source.tar' })
  const { cacheKey = '', secretsHash = '', platform } = options
  const ours = compilePlan(readPlan(JSON.stringify(plan)), {
    cacheKey,
    secretsHash,
    platform,
    source,
    builtAt: new Date(),
  })
  const env = ours.image.config.Env.map((line) =>
    line.replace(/^(RAILPACK_BUILT_AT)=\d+$/, '$1=<now>'),
  )
  const ourImage = { ...ours.image, config: { ...ours.image.config, Env: env } }
  const nodes = ours.nodes.filter((node) => !source.inputs.includes(node))
  return (
    difference(ops.map(recordedView), viewsOf(nodes, source), 'ops') ??
    (image ? difference(image, ourImage, 'image') : null)
  )
}

/** We choose where the source comes from, so only its path and name are compared. */
const recordedView = (op: RecordedOp): RecordedOp =>
  JSON.stringify(op.op).includes('"local://context"')
    ? { ...op, op: { source: 'the source tree' } }
    : op

function viewsOf(nodes: Node[], source: Node): RecordedOp[] {
  const places = new Map(nodes.map(({ digest }, place) => [digest, place]))
  return nodes.map((node) => {
    const name = node.name ? { name: node.name } : {}
    if (node.digest === source.digest) return { ...name, op: { source: 'the source tree' } }
    const { inputs = [], platform: _platform, ...op } = node.op
    const from = inputs.map(({ digest, index = 0 }) => `${places.get(digest ?? '')}.${index}`)
    return { ...name, ...(from.length > 0 && { inputs: from }), op: shown(op) as RecordedOp['op'] }
  })
}

/**
 * A message in BuildKit's JSON form: no zero values except the positions of a file action, bytes in
 * base64.
 */
function shown(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map(shown)
  if (typeof value !== 'object' || value === null) return value
  const isAction = 'secondaryInput' in value
  const fields = Object.entries(value).map(([key, field]) => [key, shown(field)] as const)
  const isKept = (key: string, field: unknown) =>
    (isAction && ['input', 'output', 'secondaryInput'].includes(key)) ||
    !(
      field === undefined ||
      field === 0 ||
      field === '' ||
      field === false ||
      (Array.isArray(field) && field.length === 0)
    )
  return Object.fromEntries(fields.filter(([key, field]) => isKept(key, field)))
}
