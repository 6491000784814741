import { z } from 'zod'
import { nearestOf } from '#api/text/nearest.ts'

export type Env = Record<string, string | undefined>

/** The name of each setting in the environment, its default, and another name that is read too. */
const names = z.registry<{ name: string; fallback: unknown; alias?: string | undefined }>()

/**
 * One setting: its name in the environment, how its text is read, and its default. Its description
 * says what it is for. A table of settings is a zod object, so its values have the types that the
 * schemas return.
 */
export function setting<S extends z.ZodType>(
  name: string,
  schema: S,
  fallback: z.core.util.NoUndefined<z.input<S>>,
  alias?: string,
): z.ZodPrefault<S> {
  const field = z.prefault(schema, fallback)
  names.add<z.ZodType>(field, { name, fallback, alias })
  return field
}

/** All settings of a table, in its order. */
export function settingsOf(
  table: z.ZodObject,
): { name: string; fallback: unknown; alias?: string | undefined; about: string }[] {
  return Object.values(table.shape).flatMap((field: z.ZodType) => {
    if (field instanceof z.ZodObject) return settingsOf(field)
    const known = names.get(field)
    return known ? [{ ...known, about: field.description ?? '' }] : []
  })
}

/** The texts of a table's settings in this environment, as the table's input. */
export function textsOf(table: z.ZodObject, env: Env): Record<string, unknown> {
  const textOf = (field: z.ZodType) => {
    if (field instanceof z.ZodObject) return textsOf(field, env)
    const { name = '', alias = '' } = names.get(field) ?? {}
    return env[name] ?? env[alias]
  }
  return Object.fromEntries(
    Object.entries(table.shape).map(([name, field]) => [name, textOf(field)]),
  )
}

/** The name of the setting at this path of a table. */
export function nameAt(table: z.ZodObject, [first, ...rest]: PropertyKey[]): string {
  const field: z.ZodType | undefined = table.shape[String(first)]
  if (field instanceof z.ZodObject) return nameAt(field, rest)
  return (field && names.get(field)?.name) ?? String(first)
}

/** What the client reads. A shell that has them may also start a gateway. */
const namesOfClient = new Set([
  'TARMAC_GATEWAY',
  'TARMAC_TOKEN',
  'TARMAC_AUDIENCE',
  'TARMAC_ID_TOKEN',
])

/** Complaints about names in the environment that begin like a setting and are none. */
export function unknownSettings(table: z.ZodObject, env: Env): string[] {
  const known = settingsOf(table).map(({ name }) => name)
  return Object.keys(env)
    .filter((name) => /^TARMAC_/i.test(name) && env[name] !== undefined)
    .filter((name) => !known.includes(name) && !namesOfClient.has(name))
    .map(
      (name) =>
        `${name.slice(0, 100)}: is not a setting. Did you mean ${nearestOf(name.slice(0, 100).toUpperCase(), known)}?`,
    )
}
