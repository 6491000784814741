import { expect, test } from 'vitest'
import {
  base,
  clean,
  dir,
  join,
  resolve,
  resolveDestination,
} from '../../../gateway/src/go/paths.ts'

const table = (of: (path: string) => string, rows: Record<string, string>) =>
  expect(Object.fromEntries(Object.keys(rows).map((path) => [path, of(path)]))).toEqual(rows)

test('paths are cleaned as in Go', () => {
  table(clean, {
    '': '.',
    './': '.',
    '/': '/',
    '//a//b/': '/a/b',
    'a/..': '.',
    '/../x': '/x',
    '../x/.': '../x',
  })
  table((path) => join('/app', path), {
    '': '/app',
    '.': '/app',
    '..': '/',
    '/x': '/app/x',
    'a/': '/app/a',
  })
})

test('the folder of a path is the part before its last slash', () => {
  table(dir, { f: '.', '/f': '/', 'rel/d/': 'rel/d', '/a/../b': '/', '/a/b': '/a', '': '.' })
})

test('the last name of a path has no slashes', () => {
  table(base, { '': '.', '/': '/', '///': '/', 'a/b/': 'b', '/a/.': '.', '..': '..' })
})

test('a relative path starts at the working directory, and only a destination keeps its trailing part', () => {
  table((path) => resolve('/app', path), { 'a/': '/app/a', '/x/': '/x', '../..': '/', '': '/app' })
  table((path) => resolveDestination('/app', path), {
    'a/': '/app/a/',
    'a/.': '/app/a/.',
    '.': '/app',
    './': '/app/',
    '/': '/',
    '/.': '/.',
    '..': '/',
  })
})
