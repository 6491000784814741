import { execFileSync, spawnSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { zstdDecompressSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ignoreRules, type WhatToSend } from '../../client/src/ignore/ignore-rules.ts'
import { leftOutHint, leftOutLines } from '../../client/src/ignore/left-out.ts'
import { type Entry, listSource } from '../../client/src/deploy/list-source.ts'
import { unreadable } from '../../client/src/ignore/read-if-there.ts'
import type { FolderRules } from '../../client/src/ignore/folder-rules.ts'
import { packSource } from '../../client/src/deploy/pack-source.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tarmac-pack-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const write = (files: Record<string, string>) => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
}
const list = async (at = '.', more: Partial<WhatToSend> = {}, note = (_text: string) => {}) => {
  const what = { ignoreFiles: ['.dockerignore'], included: [], noIgnore: false, ...more }
  return listSource(join(folder, at), await ignoreRules(join(folder, at), what, note))
}
const files = async (at = '.', more: Partial<WhatToSend> = {}) =>
  (await list(at, more)).entries.filter(({ type }) => type !== 'folder').map(({ path }) => path)
const leftOut = async (more: Partial<WhatToSend> = {}) =>
  leftOutLines((await list('.', more)).leftOut)
const packed = (entries: Entry[]) => packSource({ folder, entries, compression: 'zstd' })
const tarOf = async () => zstdDecompressSync(await buffer(packed((await list()).entries)))

const project = {
  '.gitignore': '*.log\n/dist\nbuild/\n!keep.log\n# a remark\ntmp*\n\\#odd\n',
  'a.log': '',
  'keep.log': '',
  'dist/x.js': '',
  'sub/dist/y.js': '',
  'sub/build/z': '',
  'build.txt': '',
  tmpfile: '',
  '#odd': '',
  'sub/.gitignore': '!important.log\n/local\nsecret/*\n!secret/public\n',
  'sub/important.log': '',
  'sub/local': '',
  'sub/deep/local': '',
  'sub/secret/a': '',
  'sub/secret/public': '',
  'Ünïcode/ä.txt': '',
  'excluded.txt': '',
}

test('the client sends the files that git would add, at every level, with and without a repository', async () => {
  write(project)
  const without = await files()
  execFileSync('git', ['init', '-q', folder])
  const git = execFileSync('git', ['-C', folder, 'ls-files', '-zco', '--exclude-standard'], {
    encoding: 'utf8',
  })
  expect(without.toSorted()).toEqual(git.split('\0').filter(Boolean).toSorted())
  write({ '.git/info/exclude': 'excluded.txt\n' })
  expect(await files()).toEqual(without.filter((path) => path !== 'excluded.txt'))
})

test('a folder of a repository follows the rules above it, unless they exclude the folder itself', async () => {
  write(project)
  execFileSync('git', ['init', '-q', folder])
  expect(await files('sub')).toEqual([
    '.gitignore',
    'deep/local',
    'dist/y.js',
    'important.log',
    'secret/public',
  ])
  expect(await files('dist')).toEqual(['x.js'])
})

test('a .dockerignore alone decides, except about the files that control the build', async () => {
  write({
    '.dockerignore': '*\n!src\nsrc/*.md\n',
    '.gitignore': 'src/a.js\n',
    Dockerfile: '',
    'fly.toml': '',
    'src/a.js': '',
    'src/b.md': '',
    'deploy/plan.json': '',
    'node_modules/x/index.js': '',
    'src/node_modules/y.js': '',
    '.git/HEAD': '',
    '.hg/store': '',
  })
  const sent = ['.dockerignore', 'Dockerfile', 'fly.toml', 'src/a.js', 'src/node_modules/y.js']
  expect(await files()).toEqual(sent)
  expect(await leftOut()).toEqual([
    'left out by .dockerignore: .gitignore, deploy/, node_modules/, src/b.md',
  ])

  write({ '.dockerignore': 'src\ndeploy\n' })
  expect(await files()).toEqual([
    '.dockerignore',
    '.gitignore',
    'Dockerfile',
    'fly.toml',
    'node_modules/x/index.js',
  ])
  const included = ['deploy/plan.json']
  expect(await files('.', { included })).toContain('deploy/plan.json')
})

test('without .dockerignore git decides: tracked files are sent, ignored ones are not', async () => {
  write({
    '.gitignore': 'dist/\n*.key\n',
    'demo.key': '',
    'other.key': '',
    'new.js': '',
    'dist/app.js': '',
    'dist/tracked.js': '',
    'dist/deep/tracked.js': '',
    'dist/other/x.js': '',
    'node_modules/x/index.js': '',
  })
  const git = (...args: string[]) => execFileSync('git', ['-C', folder, ...args])
  git('init', '-q')
  expect(await leftOut()).toEqual([
    'left out by .gitignore: demo.key, dist/, other.key',
    'left out as dependencies: node_modules/',
  ])

  git('add', '-f', 'demo.key', 'dist/tracked.js', 'dist/deep/tracked.js')
  const tracked = ['demo.key', 'dist/deep/tracked.js', 'dist/tracked.js']
  expect(await files()).toEqual(['.gitignore', ...tracked, 'new.js'])
  expect((await leftOut())[0]).toBe('left out by .gitignore: other.key, dist/app.js, dist/other/')
  expect(await files('.', { included: ['dist'] })).toContain('dist/other/x.js')
  expect(await files('.', { noIgnore: true })).toHaveLength(9)
})

test('git’s own ignore file counts in a worktree, and one of the user by a relative name', async () => {
  const git = (...args: string[]) => execFileSync('git', ['-C', join(folder, 'main'), ...args])
  write({ 'main/a': '', 'user.ignore': '' })
  git('init', '-q')
  git('add', 'a')
  git('-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '-qm', 'a')
  git('worktree', 'add', '-q', '../other')
  git('config', 'core.excludesFile', '../user.ignore')
  write({ 'main/.git/info/exclude': '*.key\n', 'user.ignore': '*.tmp\n' })
  write({ 'other/a.key': '', 'other/a.tmp': '', 'other/sub/b.tmp': '' })
  expect(await files('other')).toEqual(['a'])
  expect(await files('other/sub')).toEqual([])
})

test('a .gitignore that keeps a folder overrides those above it', async () => {
  write({ '.gitignore': '/sub/deep\n*.log\n', 'sub/.gitignore': '!deep\n' })
  write({ 'sub/deep/a': '', 'sub/deep/b/c': '', 'sub/a.log': '' })
  const kept = ['sub/.gitignore', 'sub/deep/a', 'sub/deep/b/c']
  expect(await files()).toEqual(['.gitignore', ...kept])
})

test('!dist in .dockerignore sends what .gitignore names', async () => {
  write({ '.gitignore': 'dist/\n', '.dockerignore': '!dist\n', 'dist/app.js': '' })
  expect(await files()).toContain('dist/app.js')
})

test('a Dockerfile’s own ignore file decides before .dockerignore', async () => {
  write({ '.dockerignore': 'a\n', 'Dockerfile.dockerignore': 'b\n', a: '', b: '' })
  const ignoreFiles = ['Dockerfile.dockerignore', '.dockerignore']
  expect(await files('.', { ignoreFiles })).toEqual([
    '.dockerignore',
    'Dockerfile.dockerignore',
    'a',
  ])
})

/** The folders that the listing reads. */
async function entered(more: Partial<WhatToSend> = {}): Promise<string[]> {
  const found = new Set<string>()
  const what = { ignoreFiles: ['.dockerignore'], included: [], noIgnore: false, ...more }
  const watch = (rules: FolderRules): FolderRules => ({
    leftOut: (path, isFolder) => rules.leftOut(path, isFolder),
    mayHoldMore: (path) => rules.mayHoldMore(path),
    async enter(path) {
      found.add(path)
      return watch(await rules.enter(path))
    },
  })
  await listSource(folder, watch(await ignoreRules(folder, what, () => {})))
  return [...found].toSorted()
}

test.each([
  ['cache\nsrc\n', []],
  ['cache\n!src/keep\nsrc\n', ['src']],
  ['*\n!src/*.js\n', ['src']],
  ['*\n!src/keep/x\n', ['src', 'src/keep']],
  ['*\n!**/x\n', ['cache', 'cache/deep', 'src', 'src/keep']],
  ['cache/**\n!cache/deep/x\n', ['cache', 'cache/deep', 'src', 'src/keep']],
])(
  'with .dockerignore %j only folders are entered that may hold something to send',
  async (text, folders) => {
    write({ '.dockerignore': text, 'cache/deep/x': '', 'src/keep/x': '', 'src/a.js': '' })
    expect(await entered()).toEqual(folders)
  },
)

test('what cannot be read is named, and exits with 4', async () => {
  write({ '.gitignore': 'data/\n', 'data/x': '', 'src/a': '' })
  const gone = listed(folder, 'src/gone')
  await expect(buffer(packed(gone))).rejects.toMatchObject({
    code: 'source-unreadable',
    message: expect.stringContaining('src/gone cannot be read: it vanished meanwhile'),
  })
  expect(unreadable('x', Object.assign(new Error('no'), { code: 'EACCES' }))).toMatchObject({
    code: 'source-unreadable',
    message:
      'x cannot be read: permission denied. Make it readable, or exclude it by an ignore file.',
  })
})

const listed = (_folder: string, path: string): Entry[] => [
  { type: 'file', path, mode: 0o644, sizeBytes: 5, stamp: { text: '', changedMs: 0 } },
]

test('a failed build whose last words name something that was left out gets a hint', () => {
  const left = [{ path: 'dist/', why: 'by .gitignore' }]
  expect(leftOutHint(left, 'COPY failed: "/dist": not found')).toBe(
    'dist/ was left out by .gitignore. If the build needs it, send it with --include dist, or change that file.',
  )
  expect(leftOutHint(left, 'the distance is wrong, see redist')).toBeNull()
})

test('patterns of .dockerignore work as in BuildKit', async () => {
  write({
    '.dockerignore': '/root.txt\n**/*.tmp\ndocs\n!docs/keep/*.md\n[a-c]?.js\n# all/\n',
    'root.txt': '',
    'sub/root.txt': '',
    'sub/deep/a.tmp': '',
    'docs/a.md': '',
    'docs/keep/b.md': '',
    'docs/keep/b.txt': '',
    'ab.js': '',
    'dd.js': '',
    'all/x': '',
  })
  expect(await files()).toEqual([
    '.dockerignore',
    'all/x',
    'dd.js',
    'docs/keep/b.md',
    'sub/root.txt',
  ])

  const wrong = { code: 'build-failed', message: expect.stringContaining('"[a"') as string }
  write({ '.dockerignore': '[a\n' })
  await expect(files()).rejects.toMatchObject(wrong)
})

// Runs in another process, because a backtracking pattern cannot be stopped from inside.
test.each([
  ['.dockerignore', '12 stars in a name', `${'*a'.repeat(12)}b`, ''],
  ['.dockerignore', '140 stars in a name', `${'*a'.repeat(140)}b`, ''],
  ['.gitignore', 'any folders 3 times', `${'**/a/'.repeat(3)}b`, ''],
  ['.gitignore', '12 stars in a name', `${'*a'.repeat(12)}b`, ''],
  ['.gitignore', 'two stars in each of 12 names', `${'*a*a/'.repeat(12)}b`, ''],
  ['.gitignore', 'any folders 12 times', `${'**/a/'.repeat(12)}b`, 'line 2 of'],
  ['.git/info/exclude', 'any folders 12 times', `${'**/a/'.repeat(12)}b`, 'line 2 of'],
])(
  'a foreign %s with %s does not hang the client',
  { timeout: 20_000 },
  (name, _, pattern, refusal) => {
    write({
      ['a'.repeat(250)]: '',
      [`${'a/'.repeat(63)}a`]: '',
      '.git/HEAD': '',
      [name]: `# wildcards\n${pattern}\n`,
    })
    const module = join(import.meta.dirname, '../../client/src/deploy/list-source.ts')
    const rules = join(import.meta.dirname, '../../client/src/ignore/ignore-rules.ts')
    const code = `const { listSource } = await import(${JSON.stringify(module)}); const { ignoreRules } = await import(${JSON.stringify(rules)}); await listSource(${JSON.stringify(folder)}, await ignoreRules(${JSON.stringify(folder)}, { ignoreFiles: ['.dockerignore'], included: [], noIgnore: false }, () => {}))`
    const { error, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      timeout: 15_000,
      encoding: 'utf8',
    })
    expect(error).toBeUndefined()
    expect(stderr).toContain(refusal)
  },
)

test('a path with more levels than the gateway accepts is refused, unless it is excluded', async () => {
  write({ [`${'a/'.repeat(63)}a`]: '' })
  expect(await files()).toHaveLength(1)
  write({ [`${'b/'.repeat(64)}b`]: '' })
  await expect(files()).rejects.toMatchObject({ code: 'archive-path-too-long' })
  write({ '.dockerignore': 'b\n' })
  expect(await files()).toHaveLength(2)
})

test.each([
  '**/node_modules/**/*.log',
  '**/a/**/b/**',
  '/**/b/**/c/**/d/**',
  '# **/a/**/b/**/c/**/d/**/e',
])('the .gitignore pattern %s is accepted', async (pattern) => {
  write({ '.gitignore': `${pattern}\n`, a: '' })
  expect(await files()).toContain('a')
})

test('the archive unpacks to the same files, including long names, links and modes', async () => {
  const long = `${'deep/'.repeat(30)}${'ä'.repeat(60)}.txt`
  write({ 'run.sh': '#!/bin/sh\n', [long]: 'far', empty: '', 'exact.bin': 'x'.repeat(512) })
  execFileSync('chmod', ['755', join(folder, 'run.sh')])
  symlinkSync('run.sh', join(folder, 'link'))
  symlinkSync('t'.repeat(150), join(folder, 'long-link'))
  mkdirSync(join(folder, 'hollow'))
  const listing = execFileSync('tar', ['tvf', '-', '--numeric-owner', '--utc'], {
    input: await tarOf(),
    encoding: 'utf8',
  })
  expect(listing).toMatch(/^-rwxr-xr-x 0\/0 +10 1970-01-01 00:00 run\.sh$/m)
  expect(listing).toMatch(/link -> run\.sh$/m)
  expect(listing).toContain(`long-link -> ${'t'.repeat(150)}`)
  expect(listing).not.toContain('hollow')

  const out = join(folder, 'out')
  mkdirSync(out)
  execFileSync('tar', ['xf', '-', '-C', out], { input: await tarOf() })
  execFileSync('diff', ['-r', '--no-dereference', '--exclude=out', '--exclude=hollow', folder, out])
})

test('the same files give the same bytes, whenever they were written', async () => {
  write({ b: '1', 'a/c': '2' })
  const before = await tarOf()
  utimesSync(join(folder, 'b'), 1, 1)
  execFileSync('chmod', ['600', join(folder, 'b')])
  expect((await tarOf()).equals(before)).toBe(true)
})

test('a file that shrinks during packing ends the upload with an error', async () => {
  write({ big: 'x'.repeat(1000) })
  const { entries } = await list()
  truncateSync(join(folder, 'big'), 10)
  await expect(buffer(packed(entries))).rejects.toThrow('big changed while it was packed')
})
