/** A shorter text costs less than its entry in `places`. */
const minSharedChars = 256

/**
 * `value` has empty texts where `texts` belong. A place is an index into `texts`, then the path of
 * keys.
 */
type Packed = [mark: 'packed', value: unknown, texts: string[], places: [number, ...string[]][]]

/**
 * JSON that writes a long text once even if it occurs several times. A deploy's progress repeats
 * the same file for each group, machine and previous version. Without such texts it is plain JSON.
 * `unpackJson` reads both.
 */
export function packJson(value: unknown): string {
  const shared = sharedTexts(value)
  if (shared.size === 0) return JSON.stringify(value)
  const texts = [...shared.keys()]
  const places: Packed[3] = []
  const packed: Packed = ['packed', emptied(value, [], shared, places), texts, places]
  return JSON.stringify(packed)
}

export const unpackJson = (json: string): unknown => unpacked(JSON.parse(json))

/** Like `unpackJson`, for parsed JSON. Changes `read`. */
export function unpacked(read: unknown): unknown {
  if (!isPacked(read)) return read
  const [, value, texts, places] = read
  for (const [index, ...path] of places) {
    const last = path.pop()!
    const holder = path.reduce<unknown>((inside, key) => Reflect.get(asHolder(inside), key), value)
    Reflect.set(asHolder(holder), last, texts[index])
  }
  return value
}

function asHolder(value: unknown): object {
  if (typeof value !== 'object' || value === null)
    throw new TypeError('a place is not in the value')
  return value
}

/** How many characters `unpacked` adds to the parsed value. */
export function sharedChars(read: unknown): number {
  if (!isPacked(read)) return 0
  const [, , texts, places] = read
  return places.reduce((sum, [index]) => sum + texts[index]!.length, 0)
}

/** Long texts that occur more than once, each with its index. */
function sharedTexts(value: unknown): Map<string, number> {
  const seen = new Set<string>()
  const shared = new Map<string, number>()
  const look = (part: unknown): void => {
    if (typeof part === 'string' && part.length >= minSharedChars) {
      if (!seen.has(part)) seen.add(part)
      else if (!shared.has(part)) shared.set(part, shared.size)
    } else if (typeof part === 'object' && part !== null) Object.values(part).forEach(look)
  }
  look(value)
  return shared
}

function emptied(
  value: unknown,
  path: string[],
  shared: Map<string, number>,
  places: Packed[3],
): unknown {
  if (typeof value === 'string') {
    const index = value.length < minSharedChars ? undefined : shared.get(value)
    if (index === undefined) return value
    places.push([index, ...path])
    return ''
  }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value))
    return value.map((part, at) => emptied(part, [...path, `${at}`], shared, places))
  const parts = Object.entries(value).map(([key, part]) => [
    key,
    emptied(part, [...path, key], shared, places),
  ])
  return Object.fromEntries(parts) as unknown
}

const isPacked = (value: unknown): value is Packed =>
  Array.isArray(value) && value.length === 4 && value[0] === 'packed'
