import { Scope } from '#api/callers/scope.ts'
import { Problem } from '#api/problem.ts'
import { nearestOf } from '#api/text/nearest.ts'
import { asObject } from './json.ts'

type Issue = { path: PropertyKey[]; code?: string; message: string; keys?: string[] }
type Schema<T> = {
  shape: object
  safeParse(
    value: unknown,
  ): { success: true; data: T } | { success: false; error: { issues: Issue[] } }
}

/**
 * Reads the body of a request. Throws `scope-unknown`, `option-unknown` or `option-invalid`, with
 * the name of the field.
 */
export function readRequest<T>(schema: Schema<T>, body: unknown): T {
  const fields = asObject(body)
  refuseUnknownScope(fields)
  const parsed = schema.safeParse(fields)
  if (parsed.success) return parsed.data

  const { path, keys, message } = parsed.error.issues[0]!
  const known = Object.keys(schema.shape)
  if (keys)
    throw new Problem(
      'option-unknown',
      `There is no option ${keys[0]!.slice(0, 50)}. The options are ${known.join(', ')}.`,
      { facts: { known } },
    )
  const option = path.map(String).join('.')
  throw new Problem('option-invalid', `The option ${option} is invalid: ${message}.`, {
    facts: { option },
  })
}

function refuseUnknownScope({ scopes }: { scopes?: unknown }): void {
  if (!Array.isArray(scopes)) return
  const unknown: unknown = scopes.find((scope) => !Scope.safeParse(scope).success)
  if (typeof unknown !== 'string') return
  const name = unknown.slice(0, 50)
  throw new Problem(
    'scope-unknown',
    `There is no scope ${name}. Did you mean ${nearestOf(name, Scope.options)}? The scopes are ${Scope.options.join(', ')}.`,
    { facts: { known: Scope.options } },
  )
}
