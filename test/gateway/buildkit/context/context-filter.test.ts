import { expect, test } from 'vitest'
import { sortEntries, type TreeEntry } from '../../../../api/tree.ts'
import { filterEntries } from '../../../../gateway/src/buildkit/context/context-filter.ts'

const tree = (...paths: string[]): TreeEntry[] =>
  sortEntries(
    paths.map((path) =>
      path.endsWith('/')
        ? { type: 'folder', path: path.slice(0, -1) }
        : { type: 'file', path, mode: 0o644, sizeBytes: 0, sha256: '' },
    ),
  )
const kept = (entries: TreeEntry[], ...patterns: string[]) =>
  filterEntries(entries, patterns).map(({ path }) => path)

const app = tree(
  'a.js',
  'b+c.js',
  'constructor',
  'lib/',
  'lib/a.js',
  'lib/b.md',
  'lib/deep/',
  'lib/deep/a.js',
  'ä.md',
)

// The expected results come from moby's own matcher.
test.each([
  [['lib'], ['a.js', 'b+c.js', 'constructor', 'ä.md']],
  [['/lib'], app.map(({ path }) => path)],
  [['**/a.js'], ['b+c.js', 'constructor', 'lib', 'lib/b.md', 'lib/deep', 'ä.md']],
  [
    ['*.md', 'lib/*.md'],
    ['a.js', 'b+c.js', 'constructor', 'lib', 'lib/a.js', 'lib/deep', 'lib/deep/a.js'],
  ],
  [
    ['b+c.js', './con?tructor/', 'lib/**'],
    ['a.js', 'lib', 'ä.md'],
  ],
  [['[^a]*'], ['a.js']],
  [
    ['*', '!lib/deep'],
    ['lib', 'lib/deep', 'lib/deep/a.js'],
  ],
  [
    ['*', '!**/*.md', '?.md'],
    ['lib', 'lib/b.md'],
  ],
  [
    ['lib', '!lib/a.js', 'lib/a.js'],
    ['a.js', 'b+c.js', 'constructor', 'ä.md'],
  ],
  [
    ['**js', 'lib/deep/../b.md'],
    ['constructor', 'lib', 'lib/deep', 'ä.md'],
  ],
])('%j leaves the same files that BuildKit leaves', (patterns, left) => {
  expect(kept(app, ...patterns)).toEqual(left)
})

test('an unreadable pattern is the fault of the source', () => {
  for (const pattern of ['[', 'a\\', '!', '[z-a]'])
    expect(() => kept(app, pattern)).toThrow('cannot be read')
})

test('patterns that once took forever are matched at once', () => {
  const entries = tree('a'.repeat(250), `${'a/'.repeat(60)}a`)
  for (const pattern of [
    `${'*a'.repeat(140)}b`,
    `${'**/'.repeat(90)}*a*a*b`,
    `${'*'.repeat(288)}b`,
  ])
    expect(kept(entries, pattern)).toHaveLength(2)
})

test(
  'patterns that are too many, too long or too much work are refused',
  { timeout: 60_000 },
  () => {
    const entries = tree(...Array.from({ length: 20_000 }, (_, at) => `file-${at}`))
    const forAndAgainst = Array.from({ length: 5000 }, (_, at) => (at % 2 ? '!*' : '*'))
    const patterns = [['a'.repeat(3000)], Array.from({ length: 10_001 }, () => 'a'), forAndAgainst]
    for (const given of patterns)
      expect(() => kept(entries, ...given)).toThrow(
        expect.objectContaining({ code: 'ignore-limit' }),
      )
  },
)

test('10,000 patterns select the right files of many', () => {
  const patterns = Array.from({ length: 10_000 }, (_, at) =>
    at % 2 ? `**/file-${at}` : `file-${at}`,
  )
  const entries = tree(...Array.from({ length: 20_000 }, (_, at) => `file-${at}`))
  expect(kept(entries, ...patterns)).toEqual(
    entries
      .slice()
      .map(({ path }) => path)
      .filter((path) => Number(path.slice(5)) >= 10_000),
  )
})

/**
 * The reference: one backtracking regular expression per pattern. It does not restore parent
 * folders.
 */
function leftByRegExp(entries: TreeEntry[], patterns: string[]): string[] {
  const sources: Record<string, string> = {
    '**/': '(?:.*/)?',
    '*': '[^/]*',
    '?': '[^/]',
    '[ab]': '[ab]',
    '[^a]': '[^a]',
  }
  const regexes = patterns.map((pattern) => {
    const parts = pattern.match(/\*\*\/|\[\^?\w+\]|./gu) ?? []
    return new RegExp(`^${parts.map((part) => sources[part] ?? part).join('')}(?:/.*)?$`, 'us')
  })
  return entries
    .map(({ path }) => path)
    .filter((path) => !regexes.some((regex) => regex.test(path)))
}

test('random patterns leave the same files as regular expressions', { timeout: 60_000 }, () => {
  const seed = Number(process.env['TARMAC_SEED'] ?? Date.now() % 1e9)
  let state = seed
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >>> 8) % below
  }
  const some = (words: string[], most: number) =>
    Array.from({ length: 1 + random(most) }, () => words[random(words.length)]!).join('')
  for (let round = 0; round < 1000; round++) {
    const paths = Array.from({ length: 6 }, () => some(['a', 'b', 'ab', 'é', '💩'], 3))
    const entries = tree(...new Set(paths), 'z/', ...new Set(paths.map((path) => `z/${path}`)))
    const plain = () => some(['a', 'b', '*', '?', '[ab]', '[^a]', 'z/', 'é', '💩'], 5)
    const patterns = Array.from({ length: 3 }, () => (random(2) === 0 ? '**/' : '') + plain())
    // The reference does not cover patterns that path cleaning or the other rules for `**` would
    // change.
    const usual = patterns.filter((pattern) => /^(?:\*\*\/)?(?!.*\*\*).*[^/]$/.test(pattern))
    expect(kept(entries, ...usual), `seed ${seed}: ${JSON.stringify(usual)}`).toEqual(
      leftByRegExp(entries, usual),
    )
  }
})
