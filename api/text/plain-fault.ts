import type { z } from 'zod'

const kinds: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}
const kindOf = (name: string): string => kinds[name] ?? name
const counted: Record<string, string> = { string: ' characters', array: ' items', set: ' items' }

type Fault = Parameters<z.core.$ZodErrorMap>[0]

/**
 * What is wrong with a value, in plain words: it goes on from "The option count is invalid: ". Null: the
 * library's own words.
 */
export function plainFault(fault: Fault): string | null {
  if (fault.code === 'invalid_type')
    return fault.input === undefined
      ? `it is missing; expected ${kindOf(fault.expected)}`
      : `expected ${kindOf(fault.expected)}, not ${inShort(fault.input)}`
  if (fault.code === 'invalid_value') {
    const known = fault.values.map(String).join(', ')
    return `expected ${fault.values.length > 1 ? 'one of ' : ''}${known}, not ${inShort(fault.input)}`
  }
  if (fault.code === 'too_small')
    return `expected at least ${fault.minimum}${counted[fault.origin] ?? ''}`
  if (fault.code === 'too_big')
    return `expected at most ${fault.maximum}${counted[fault.origin] ?? ''}`
  return null
}

/** A small value as JSON; of a larger one its kind. */
function inShort(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  return typeof value === 'string' && value.length > 50 ? 'this text' : JSON.stringify(value)
}
