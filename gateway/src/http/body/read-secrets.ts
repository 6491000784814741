import { Problem } from '#api/problem.ts'
import { isObject } from '#api/is-object.ts'

/** The `secrets` of a JSON body, {"NAME": "value"}, for one build. */
export function readSecrets(secrets: unknown): Map<string, Buffer> {
  if (secrets === undefined) return new Map()
  const entries = isObject(secrets) ? Object.entries(secrets) : null
  if (entries?.every((entry): entry is [string, string] => typeof entry[1] === 'string'))
    return new Map(entries.map(([name, value]) => [name, Buffer.from(value)]))
  throw new Problem('secret-invalid', 'secrets is an object of texts: {"NPM_TOKEN": "…"}.')
}
