import { z } from 'zod'

export type Env = Record<string, string | undefined>
/** A setting by its name in the environment. */
export type SettingFacts = { name: string; fallback: unknown; about: string }

const factsOf = new WeakMap<z.ZodType, SettingFacts>()

/**
 * One setting: its name in the environment, how its text is read, its default, and its purpose. A
 * table of settings is a zod object, so its values have the types that the schemas return.
 */
export function setting<S extends z.ZodType>(
  name: string,
  schema: S,
  fallback: z.core.util.NoUndefined<z.input<S>>,
  about: string,
): z.ZodPrefault<S> {
  const field = z.prefault(schema, fallback)
  factsOf.set(field, { name, fallback, about })
  return field
}

/** All settings of a table, in its order. */
export function settingsOf(table: z.ZodObject): SettingFacts[] {
  return Object.values(table.shape).flatMap((field) =>
    field instanceof z.ZodObject ? settingsOf(field) : (factsOf.get(field) ?? []),
  )
}

/** The texts of a table's settings in this environment, as the table's input. */
export function textsOf(table: z.ZodObject, env: Env): Record<string, unknown> {
  const textOf = (field: z.ZodType) =>
    field instanceof z.ZodObject ? textsOf(field, env) : env[factsOf.get(field)?.name ?? '']
  return Object.fromEntries(
    Object.entries(table.shape).map(([name, field]) => [name, textOf(field)]),
  )
}

/** The name of the setting at this path of a table. */
export function nameAt(table: z.ZodObject, [first, ...rest]: PropertyKey[]): string {
  const field: z.ZodType | undefined = table.shape[String(first)]
  if (field instanceof z.ZodObject) return nameAt(field, rest)
  return (field && factsOf.get(field)?.name) ?? String(first)
}
