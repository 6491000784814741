import { check } from 'recheck'
import { describe, expect, test } from 'vitest'
import { nodesIn, productFiles } from './product-code.ts'

type Found = { place: string; pattern: string; flags: string }

/**
 * Regular expressions that may take more than linear time, with the bound on their input that makes
 * them safe.
 */
const bounded: Record<string, string> = {
  'gateway/src/buildkit/failures.ts /failed to calculate checksum of ref \\S+: (".*"): not found/':
    'reads a message of 2,000 characters at most (maxDetailChars): square, so 4 million steps',
}

/**
 * Expressions that code composes, by file. Their parts are our constants, never a stranger's text.
 */
const composed: Record<string, string> = {
  'api/image/reference.ts': 'the host of an image, for 500 characters at most (maxReferenceChars)',
  'gateway/src/http/dashboard/assets/log-search.ts':
    'what a reader searches for, in the browser of that reader alone',
  'gateway/src/http/log/log-address.ts':
    'an address of `routes` with one `[^/]+` in it, anchored: linear',
  'gateway/src/llb/image-name.ts':
    'the grammar of image references, for 1,024 characters at most (maxChars)',
}

/**
 * The checker tries random texts on an expression that it cannot prove. With a seed of its own each
 * time, it calls one with many branches vulnerable in one of four runs.
 */
const randomSeed = 1

/** Every regular expression literal in the product's code, and every place that constructs one. */
function regularExpressions(): { literals: Found[]; made: string[] } {
  const literals: Found[] = []
  const made: string[] = []
  for (const { path, program } of productFiles())
    for (const node of nodesIn(program)) {
      if (node.type === 'Literal' && node.regex)
        literals.push({
          place: `${path} /${node.regex.pattern}/${node.regex.flags}`,
          ...node.regex,
        })
      const isCall = node.type === 'NewExpression' || node.type === 'CallExpression'
      if (isCall && node.callee.type === 'Identifier' && node.callee.name === 'RegExp')
        made.push(path)
    }
  return { literals, made }
}

describe('regular expressions', () => {
  const { literals, made } = regularExpressions()

  test(
    'each takes linear time, or reads no more than a named bound',
    { timeout: 180_000 },
    async () => {
      const checked = new Map(
        literals
          .filter(({ place }) => !(place in bounded))
          .map((found) => [`/${found.pattern}/${found.flags}`, found]),
      )
      const wrong: string[] = []
      for (const { place, pattern, flags } of checked.values()) {
        const { status } = await check(pattern, flags, { timeout: 60_000, randomSeed })
        if (status !== 'safe') wrong.push(`${place} is ${status}`)
      }
      expect(wrong).toEqual([])
    },
  )

  test('the checker finds exponential and quadratic expressions', { timeout: 60_000 }, async () => {
    for (const pattern of ['^(?:\\d+)+$', '\\r+$'])
      expect((await check(pattern, '')).status).toBe('vulnerable')
  })

  test('none is made from text that arrives at run time', () => {
    expect([...new Set(made)].toSorted()).toEqual(Object.keys(composed))
  })

  test('every exception is for an existing expression', () => {
    const places = new Set(literals.map(({ place }) => place))
    expect(Object.keys(bounded).filter((place) => !places.has(place))).toEqual([])
  })
})
