import { Problem } from '../problem.ts'

/** Names the known option that is spelled most like the unknown one. */
export function unknownOption(name: string, known: string[]): Problem {
  const shown = name.slice(0, 50)
  const [nearest] = known.toSorted(
    (a, b) => distance(head(shown), head(a)) - distance(head(shown), head(b)),
  )
  return new Problem('option-unknown', `There is no option ${shown}. Did you mean ${nearest}?`, {
    facts: { option: shown, nearest, known },
  })
}

const head = (name: string) => name.split('.')[0]!

/** The edit distance: how many letters to add, drop or change to turn one word into the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [i, letter] of a.split('').entries()) {
    const next = [i + 1]
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (letter === b[j - 1] ? 0 : 1)),
      )
    row = next
  }
  return row[b.length]!
}
