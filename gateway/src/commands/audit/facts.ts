type Facts = Record<string, unknown>

const valueChars = 500
const factsChars = 4000

/**
 * Facts for the audit trail, as JSON keeps them: long values are cut, and facts that are too large
 * as a whole are replaced by their names. Null: there are none.
 */
export function smallFacts(value: unknown): Facts | null {
  if (typeof value !== 'object' || value === null) return null
  const facts = Object.entries(value)
    .filter(([, each]) => each !== undefined && each !== null)
    .map(([name, each]) => [name, smallValue(each)] as const)
  if (facts.length === 0) return null
  const isSmall = JSON.stringify(facts).length <= factsChars
  return isSmall ? Object.fromEntries(facts) : { fields: namesOf(facts) }
}

/** The fields that differ, on both sides. */
export function changedFields(
  before: object | null,
  after: object | null,
): { before: Facts; after: Facts } {
  const [was, is] = [new Map(entriesOf(before)), new Map(entriesOf(after))]
  const names = [...new Set([...was.keys(), ...is.keys()])]
  const changed = names.filter((name) => jsonOf(was.get(name)) !== jsonOf(is.get(name)))
  const pick = (from: Map<string, unknown>) =>
    Object.fromEntries(
      changed.filter((name) => from.has(name)).map((name) => [name, from.get(name)]),
    )
  return { before: pick(was), after: pick(is) }
}

function smallValue(value: unknown): unknown {
  const text = typeof value === 'string' ? value : jsonOf(value)
  return text.length <= valueChars ? value : `${text.slice(0, valueChars)}…`
}

const namesOf = (facts: (readonly [string, unknown])[]) => {
  const names = facts.map(([name]) => name).join(', ')
  return names.length <= factsChars ? names : `${names.slice(0, factsChars)}…`
}

const entriesOf = (value: object | null): [string, unknown][] => Object.entries(value ?? {})
const jsonOf = (value: unknown): string => JSON.stringify(value) ?? ''
