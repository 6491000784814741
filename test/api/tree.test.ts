import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { comparePaths, sortEntries, treeDigest, type TreeEntry } from '../../api/tree.ts'
import { dice } from '../archives.ts'

const paths = [
  'a',
  'a/b',
  'a b',
  'a-b/c',
  'a.js',
  'ab',
  'A',
  'ü',
  'u\u0308',
  '\uffee',
  '\ue000/x',
  '\u{1F600}',
  '\u{1F600}/y',
  '\u{10000}',
  'new\nline',
]

test('paths are in the order of their bytes, and a folder comes before its content', () => {
  const key = (path: string) => Buffer.from(path.replaceAll('/', '\0'))
  const roll = dice(7)
  const shuffled = paths.toSorted(() => roll(3) - 1)
  const expected = shuffled.toSorted((a, b) => Buffer.compare(key(a), key(b)))
  expect(shuffled.toSorted(comparePaths)).toEqual(expected)
  const entries = shuffled.map((path): TreeEntry => ({ type: 'folder', path }))
  expect(sortEntries(entries).map(({ path }) => path)).toEqual(expected)
})

test('the digest is that of one line for each entry, whatever their order', () => {
  const sha256 = createHash('sha256').update('x').digest('hex')
  const file = (path: string, mode: 0o644 | 0o755): TreeEntry => {
    return { type: 'file', path, mode, sizeBytes: 1, sha256 }
  }
  const many = Array.from({ length: 1000 }, (_, at) => file(`f/${at}`, 0o644))
  const entries: TreeEntry[] = [
    { type: 'link', path: 'link "1"', target: '../x\n' },
    { type: 'folder', path: 'f' },
    file('run', 0o755),
    ...many,
  ]
  const lines = [
    'tarmac-tree-1',
    'folder "f"',
    ...many.map(({ path }) => `file 644 ${sha256} 1 "${path}"`).toSorted(),
    'link "../x\\n" "link \\"1\\""',
    `file 755 ${sha256} 1 "run"`,
  ]
  const expected = createHash('sha256')
    .update(`${lines.join('\n')}\n`)
    .digest('hex')
  expect(treeDigest(entries)).toBe(`sha256:${expected}`)
  expect(treeDigest(entries.toReversed())).toBe(`sha256:${expected}`)
})
