import { stepKey, withoutPlace } from '#api/text/step-key.ts'
import type { BuildStep } from './build-model.ts'

/** The same step in two builds. Null: the build has no such step. */
export type Aligned = { a: BuildStep | null; b: BuildStep | null }

/** Pairs the steps of two builds by their names, in the order of the second one. */
export function alignSteps(a: readonly BuildStep[], b: readonly BuildStep[]): Aligned[] {
  // The last places first: of steps with the same name, the first one is taken from the end.
  const places = Map.groupBy([...a.keys()].toReversed(), (at) => keyOf(a[at]!))
  const pairs = b.map((step) => ({ step, at: places.get(keyOf(step))?.pop() }))
  const paired = new Set(pairs.map(({ at }) => at))

  const rows: Aligned[] = []
  let next = 0
  // Steps of the first build alone come before the step that follows them there.
  const takeLone = (end: number) => {
    for (; next < end; next++) if (!paired.has(next)) rows.push({ a: a[next]!, b: null })
  }
  for (const { step, at } of pairs) {
    if (at !== undefined) takeLone(at)
    rows.push({ a: at === undefined ? null : a[at]!, b: step })
  }
  takeLone(a.length)
  return rows
}

const keyOf = ({ name }: BuildStep): string => stepKey(name)

/** Whether both have the step, with another base image. */
export const isRenamed = ({ a, b }: Aligned): boolean =>
  a !== null && b !== null && withoutPlace(a.name) !== withoutPlace(b.name)
