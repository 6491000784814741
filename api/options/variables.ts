import { z } from 'zod'
import { Problem } from '../problem.ts'

/** Not `__proto__`: as a key of an object it would be lost. */
export const variableName = /^(?!__proto__$)[A-Za-z_]\w{0,127}$/

/** Limits for the variables of one kind: count, and characters of all names and values together. */
export const variableLimits = { count: 500, allChars: 128 * 1024 }

export const variables = z.record(
  z.string().regex(variableName, 'a variable is named by letters, digits and _'),
  z.string(),
)

/**
 * Throws when there are more variables than `variableLimits` allows, before it checks each one.
 * Also throws for a NUL: neither an environment variable nor a path can hold one.
 */
export function refuseUnusable(option: string, value: unknown): void {
  if (typeof value === 'string' && value.includes('\0'))
    throw optionInvalid(option, 'holds a NUL character; leave it out')
  if (typeof value !== 'object' || value === null) return

  const all = Object.entries(value)
  const { count, allChars } = variableLimits
  const chars = all.reduce(
    (sum, [name, value]) => sum + name.length + String(value ?? '').length,
    0,
  )
  if (all.length > count || chars > allChars)
    throw optionInvalid(
      option,
      `has too many variables: at most ${count}, and ${allChars / 1024} Ki characters of names and values together`,
    )

  for (const [name, value] of all)
    if (typeof value === 'string') refuseUnusable(`${option}.${name}`.slice(0, 200), value)
}

export const optionInvalid = (name: string, what: string) =>
  new Problem('option-invalid', `The option ${name} ${what}.`, { facts: { option: name } })
