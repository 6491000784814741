import { z } from 'zod'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import { trimEnd } from '#api/text/trim-end.ts'
import { parseJson } from '../host/parse-json.ts'

// The complete plan format of railpack 0.37 (tag v0.37.0, and the commit b5e80580 after it that the
// recorded cases are from). It is strict: an unknown field is refused, never ignored.

const text = z.string()
const texts = z.preprocess(untilFirstWrong, z.array(text))
const textByName = z.preprocess(untilFirstWrong, z.record(text, text))

const isWrong = (one: unknown): boolean => typeof one !== 'string'

/**
 * Drops everything after the first value that is not a string. One wrong value is enough to refuse
 * the plan, and issues for millions of them would need gigabytes.
 */
function untilFirstWrong(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const wrong = value.findIndex(isWrong)
    return wrong < 0 ? value : value.slice(0, wrong + 1)
  }
  const entries = Object.entries(value)
  const wrong = entries.findIndex(([, one]) => isWrong(one))
  return wrong < 0 ? value : Object.fromEntries(entries.slice(0, wrong + 1))
}

/**
 * Files that a step or the image takes from elsewhere. At most one of `image`, `step`, `local` and
 * `spread` is set. None: the layer is empty.
 */
const Layer = z.preprocess(
  (value) => (typeof value === 'string' ? (shortLayer(value) ?? value) : value),
  z
    .strictObject({
      image: text.optional(),
      step: text.optional(),
      local: z.boolean().optional(),
      spread: z.boolean().optional(),
      include: texts.optional(),
      exclude: texts.optional(),
    })
    .refine(
      ({ image, step, local, spread }) => [image, step, local, spread].filter(Boolean).length <= 1,
      { error: 'it may name one of image, step, local and spread, not several' },
    ),
)
export type Layer = z.infer<typeof Layer>

function shortLayer(value: string) {
  if (value === '.') return { local: true, include: ['.'] }
  if (value === '...') return { spread: true }
  return value.startsWith('$') ? { step: value.slice(1) } : undefined
}

const customName = text.optional()
const Exec = z.strictObject({ form: z.literal('exec'), cmd: text, customName })
const File = z.strictObject({
  form: z.literal('file'),
  path: text,
  name: text,
  mode: z.int().min(0).max(0xffff_ffff).optional(),
  customName,
})
const Path = z.strictObject({ form: z.literal('path'), path: text })
const Copy = z.strictObject({
  form: z.literal('copy'),
  src: text,
  dest: text.default(''),
  image: text.optional(),
})
const Command = z.preprocess(
  withForm,
  z.discriminatedUnion('form', [Exec, File, Path, Copy], { error: ({ input }) => noForm(input) }),
)
export type Command = z.infer<typeof Command>

/** Commands have no type field. Their other fields decide, in this order. */
function withForm(value: unknown): unknown {
  if (typeof value === 'string') return { form: 'exec', ...shellCommand(value) }
  if (typeof value !== 'object' || value === null) return value
  if ('form' in value) return { ...value, form: null } // railpack has no such field
  if ('cmd' in value) return { ...value, form: 'exec' }
  if ('path' in value) return { ...value, form: 'name' in value ? 'file' : 'path' }
  return 'src' in value ? { ...value, form: 'copy' } : value
}

function noForm(value: unknown): string {
  const has =
    typeof value === 'object' && value
      ? Object.keys(value).join(', ') || 'no field'
      : JSON.stringify(value)
  return `no known form of command (with cmd, path or src), but ${has}`
}

/**
 * A string is a shell command. Like railpack, this reads its JSON text: escapes stay, and quotes at
 * the ends are removed.
 */
function shellCommand(value: string) {
  const cmd = trimEnd(JSON.stringify(value), '"').replace(/^"+/, '')
  const named = /^[^:#]*#(?<name>[^:]+):/.exec(cmd)?.groups?.['name']
  return { cmd: `sh -c '${cmd}'`, customName: named ?? cmd }
}

const Step = z.strictObject({
  name: text.min(1),
  inputs: z.array(Layer).default([]),
  commands: z.array(Command).max(1000).default([]),
  secrets: texts.default([]),
  assets: textByName.default({}),
  variables: textByName.default({}),
  caches: texts.default([]),
})
export type Step = z.infer<typeof Step>

const Plan = z.strictObject({
  $schema: text.optional(),
  steps: z.array(Step).max(1000).default([]),
  caches: z
    .record(
      text,
      z.strictObject({
        directory: text.default(''),
        type: z.enum(['shared', 'locked', '']).optional(),
      }),
    )
    .default({}),
  secrets: texts.default([]),
  exclude: texts.default([]),
  deploy: z.strictObject({
    base: Layer,
    inputs: z.array(Layer).default([]),
    startCommand: text.default(''),
    variables: textByName.default({}),
    paths: texts.default([]),
  }),
})
export type RailpackPlan = z.infer<typeof Plan>

/** Parses a plan. Throws `plan-invalid` with the first place that does not match the format. */
export function readPlan(json: string): RailpackPlan {
  let value: unknown
  try {
    // railpack treats null like a missing field.
    value = parseJson(json, (_, field) => (field === null ? undefined : field))
  } catch (error) {
    throw new Problem(
      'plan-invalid',
      `The plan is not JSON: ${errorMessage(error)}. Make it with \`railpack prepare\`.`,
      { cause: error },
    )
  }

  const parsed = Plan.safeParse(value)
  if (parsed.success) return withinLimit(parsed.data, json.length)

  const from = z
    .object({ deploy: z.object({ variables: z.object({ RAILPACK_VERSION: text }) }) })
    .safeParse(value)
  const version = from.data?.deploy.variables.RAILPACK_VERSION

  const [issue] = parsed.error.issues
  if (!issue) throw parsed.error
  // `form` is added by this parser, it is not a field of the plan.
  const path = issue.path.at(-1) === 'form' ? issue.path.slice(0, -1) : issue.path
  throw refusal(version, `${placeOf(value, path)} ${wordsFor(issue)}`)
}

/**
 * Every operation may carry all text of the plan (a variable, an asset, an exclude), so a small
 * plan can make a vast graph.
 */
function withinLimit(plan: RailpackPlan, sizeChars: number): RailpackPlan {
  const { steps, deploy } = plan
  const layers = [...deploy.inputs, ...steps.flatMap(({ inputs }) => inputs)]
  const parts = [
    ...layers,
    ...layers.flatMap(({ include = [] }) => include),
    ...steps.flatMap((step) => step.commands),
  ]
  if (parts.length * sizeChars <= maxGraphChars) return plan
  const detail = `The plan has ${sizeChars} characters and ${parts.length} commands, layers and paths. The product may be at most ${maxGraphChars}. Write fewer of them, or shorter variables and assets.`
  throw new Problem('plan-limit', detail)
}

/** About 250 times what railpack's own examples need. At worst it takes a few seconds of work. */
const maxGraphChars = 32 * 2 ** 20

/** The Problem for a refused plan: the reason, and the version of railpack that made the plan. */
export function refusal(version: string | undefined, reason: string): Problem {
  const origin =
    version === undefined ? 'a railpack of unknown version' : `railpack ${version.slice(0, 100)}`
  const shown = reason.length > maxReasonChars ? `${reason.slice(0, maxReasonChars)}…` : reason
  const detail = `${shown}. The plan comes from ${origin}. The gateway knows the plans of railpack 0.37.`
  return new Problem('plan-invalid', detail, {
    facts: { reason: shown, railpackVersion: version?.slice(0, 100) ?? null },
  })
}

const maxReasonChars = 2000

/** For example `steps[2] (build).commands[0]`: a step has its number and its name. */
function placeOf(plan: unknown, path: PropertyKey[]): string {
  const words = path.map((key, at) => {
    if (typeof key !== 'number') return `${at > 0 ? '.' : ''}${String(key)}`
    const name = path[0] === 'steps' && at === 1 ? stepName(plan, key) : undefined
    return `[${key}]${name === undefined ? '' : ` (${name})`}`
  })
  return words.join('') || 'The plan'
}

function stepName(plan: unknown, index: number): string | undefined {
  const steps = z.object({ steps: z.array(z.unknown()) }).safeParse(plan).data?.steps
  return z.object({ name: text }).safeParse(steps?.[index]).data?.name
}

function wordsFor(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys')
    return `has a field that is not known: ${issue.keys.join(', ')}`
  return `is not valid: ${issue.message}`
}
