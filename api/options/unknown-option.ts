import { Problem } from '../problem.ts'
import { nearestOf } from '../text/nearest.ts'

/** Names the known option that is spelled most like the unknown one. */
export function unknownOption(name: string, known: string[]): Problem {
  const shown = name.slice(0, 50)
  const heads = new Map(known.toReversed().map((each) => [head(each), each]))
  const nearest = heads.get(nearestOf(head(shown), known.map(head)) ?? '')
  return new Problem('option-unknown', `There is no option ${shown}. Did you mean ${nearest}?`, {
    facts: { option: shown, nearest, known },
  })
}

const head = (name: string) => name.split('.')[0]!
