import { isObject } from '#api/is-object.ts'
import { Problem } from '#api/problem.ts'

/** Reads `{"values": {"NAME": "value", "OTHER": null}, "deploy": true}`. `deploy` may be absent. */
export function readChange(
  body: Record<string, unknown>,
  known: readonly string[],
): { values: Map<string, string | null>; deploy: boolean | null } {
  const unknown = Object.keys(body).find((name) => !known.includes(name))
  if (unknown !== undefined)
    throw new Problem(
      'option-unknown',
      `The body has no field ${unknown.slice(0, 50)}. It knows ${known.join(' and ')}.`,
      { facts: { known } },
    )

  const { values, deploy = null } = body
  if (deploy !== null && typeof deploy !== 'boolean')
    throw new Problem('option-invalid', 'The field deploy is true or false.')
  if (!isObject(values))
    throw new Problem(
      'request-invalid',
      'The body needs values by name, like {"values": {"NAME": "value"}}; null removes one.',
    )
  return { values: new Map(Object.entries(values).map(checked)), deploy }
}

/** A refusal names the variable, and never shows a value. */
function checked([name, value]: [string, unknown]): [string, string | null] {
  if (value === null || typeof value === 'string') return [name, value]
  throw new Problem(
    'request-invalid',
    `The value of ${name.slice(0, 100)} is neither a text nor null. Send it in quotation marks.`,
  )
}
