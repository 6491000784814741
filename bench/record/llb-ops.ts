import { z } from 'zod'

/** See the format of the recorded cases in docs/upgrade-pins.md. */
export type RecordedOp = { name?: string; inputs?: string[]; op: Record<string, unknown> }

const Dumped = z.object({
  Op: z.looseObject({
    inputs: z
      .array(z.object({ digest: z.string().optional(), index: z.number().optional() }))
      .nullish(),
    Op: z.record(z.string(), z.unknown()).nullish(),
  }),
  Digest: z.string(),
  OpMetadata: z.looseObject({ description: z.record(z.string(), z.string()).nullish() }).nullish(),
})
type Dumped = z.infer<typeof Dumped>
const nameKey = 'llb.customname'
const sessionAttributes = new Set(['local.session', 'local.unique'])

/**
 * The operations that `buildctl debug dump-llb` prints, in depth-first order from the result, inputs
 * before users. Without platform, constraints, capabilities and zero values.
 */
export function opsOf(dump: string): RecordedOp[] {
  const all = dump
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => Dumped.parse(JSON.parse(line)))
  const byDigest = new Map(all.map((each) => [each.Digest, each]))
  const places = new Map<string, number>()
  const ops: RecordedOp[] = []

  const visit = (digest: string): number => {
    const known = places.get(digest)
    if (known !== undefined) return known
    const found = byDigest.get(digest)
    if (!found) throw new Error(`the dump names ${digest}, and does not have it`)
    const inputs = (found.Op.inputs ?? []).map(
      ({ digest: from = '', index = 0 }) => `${visit(from)}.${index}`,
    )
    ops.push(recorded(found, inputs))
    places.set(digest, ops.length - 1)
    return ops.length - 1
  }
  visit(resultOf(all))
  return ops
}

/** The last operation has no content: its input is the result. */
function resultOf(all: Dumped[]): string {
  const last = all.find(({ Op }) => !Op.Op || Object.keys(Op.Op).length === 0)
  const digest = last?.Op.inputs?.[0]?.digest
  if (digest === undefined) throw new Error('the dump has no result')
  return digest
}

function recorded({ Op, OpMetadata }: Dumped, inputs: string[]): RecordedOp {
  const name = OpMetadata?.description?.[nameKey]
  return {
    ...(name !== undefined && { name }),
    ...(inputs.length > 0 && { inputs }),
    op: lowerKeys(withoutZeros(Op.Op ?? {}, false)),
  }
}

/** Go prints the kind of an operation as its field, such as `Exec`. */
const lowerKeys = (op: unknown): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(op as object).map(([key, value]) => [
      key[0]!.toLowerCase() + key.slice(1),
      value,
    ]),
  )

/** Zero values are left out, except the positions of a file action. */
function withoutZeros(value: unknown, isPosition: boolean): unknown {
  if (Array.isArray(value)) return value.map((each) => withoutZeros(each, false))
  if (typeof value !== 'object' || value === null) return value
  const isAction = 'secondaryInput' in value
  // Go prints the kind of an action below its field `Action`.
  const { Action: action, ...fields } = value as { Action?: object }
  const kept = Object.entries({ ...fields, ...action }).flatMap(
    ([key, field]): [string, unknown][] => {
      if (sessionAttributes.has(key)) return []
      const position = isAction && ['input', 'output', 'secondaryInput'].includes(key)
      return !position && isZero(field) ? [] : [[key, withoutZeros(field, position)]]
    },
  )
  return isPosition ? value : Object.fromEntries(kept)
}

const isZero = (field: unknown): boolean =>
  field === null ||
  field === 0 ||
  field === '' ||
  field === false ||
  (Array.isArray(field) && field.length === 0) ||
  (typeof field === 'object' && Object.keys(field).length === 0)
