import { expect, test } from 'vitest'
import { sortEntries, type TreeEntry } from '../../../api/tree.ts'
import { filterEntries } from '../../../gateway/src/buildkit/context-filter.ts'

const tree = (...paths: string[]): TreeEntry[] =>
  sortEntries(
    paths.map((path) =>
      path.endsWith('/')
        ? { type: 'folder', path: path.slice(0, -1) }
        : { type: 'file', path, mode: 0o644, sizeBytes: 0, sha256: '' },
    ),
  )
const kept = (entries: TreeEntry[], ...patterns: string[]) => filterEntries(entries, patterns).map(({ path }) => path)

const app = tree('a.js', 'b+c.js', 'constructor', 'lib/', 'lib/a.js', 'lib/b.md', 'lib/deep/', 'lib/deep/a.js', 'ä.md')

// Each answer was taken from moby's own matcher.
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
])('%j leaves what BuildKit would leave', (patterns, left) => {
  expect(kept(app, ...patterns)).toEqual(left)
})

test('a pattern that cannot be read is the source’s fault', () => {
  for (const pattern of ['[', 'a\\', '!', '[z-a]']) expect(() => kept(app, pattern)).toThrow('cannot be read')
})
