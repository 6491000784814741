/**
 * Copies plain data but shares its texts. `structuredClone` would copy each text of each config.
 */
export function copyPlain<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(copyPlain) as T
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, copyPlain(part)])) as T
}
