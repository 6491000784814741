import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findAppRoot } from '../../client/src/deploy/app-root.ts'
import { sourceFacts } from '../../client/src/deploy/git-facts.ts'

const main = join(import.meta.dirname, '../../client/src/main.ts')
let folder: string
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'tarmac-folder-'))))
afterEach(() => rmSync(folder, { recursive: true }))

const write = (files: Record<string, string>) => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
}
const dry = (...args: string[]) => {
  const { PATH } = process.env
  const words = [main, 'deploy', folder, '--dry-run', ...args]
  return spawnSync(process.execPath, words, { env: { PATH }, encoding: 'utf8' })
}

test('--dry-run shows size, largest files and what each rule left out, and needs no gateway', () => {
  const sizes = Array.from({ length: 12 }, (_, n): [string, string] => [
    `size-${n}`,
    'x'.repeat(n * 100_000),
  ])
  write({
    ...Object.fromEntries(sizes),
    '.gitignore': 'dist/\n*.log\n',
    'dist/app.js': 'x',
    'a.log': 'x',
    'node_modules/y/index.js': 'x',
    'fly.toml': 'app = "shop"\n',
  })
  const { status, stdout } = dry()
  expect([status, stdout.split('\n')[0]]).toEqual([
    0,
    `${folder}: 6.6 MB in 14 files, before compression`,
  ])
  expect(stdout.match(/^ +[\d.]+ MB {2}size-\d+$/gm)).toHaveLength(10)
  expect(stdout).toMatch(/\n {6}1\.1 MB {2}size-11\n {6}1\.0 MB {2}size-10\n/)
  expect(stdout).toMatch(
    /left out by \.gitignore: a\.log, dist\/\nleft out as dependencies: node_modules\/\nnothing was sent\n$/,
  )

  const json = JSON.parse(dry('--json').stdout) as object
  expect(json).toMatchObject({
    type: 'result',
    exitCode: 0,
    app: 'shop',
    files: 14,
    largest: expect.arrayContaining([{ path: 'size-11', sizeBytes: 1_100_000 }]),
    leftOut: [
      { rule: 'by .gitignore', paths: ['a.log', 'dist/'] },
      { rule: 'as dependencies', paths: ['node_modules/'] },
    ],
  })
  expect(dry('--compress', 'lzma')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('--compress is zstd, gzip or none, not lzma.'),
  })
})

const none = { config: null, dockerfile: null, plan: null }

test('--root finds config file, Dockerfile and plan of the app in a monorepo', async () => {
  write({
    'fly.toml': 'app = "root"\n',
    'apps/web/fly.toml': 'app = "web"\n',
    'apps/web/Dockerfile': 'FROM alpine\n',
    'apps/api/fly.toml': '[build]\ndockerfile = "build/Dockerfile.api"\n',
    'apps/plan/railpack-plan.json': '{}',
    'apps/site/index.html': '',
  })
  expect(await findAppRoot(folder, 'apps/web', none)).toEqual({
    folder,
    options: { config: 'apps/web/fly.toml', dockerfile: 'apps/web/Dockerfile', plan: null },
    note: null,
  })
  expect(await findAppRoot(folder, 'apps/api', none)).toMatchObject({
    folder,
    options: { config: 'apps/api/fly.toml', dockerfile: null },
  })
  const chosen = { ...none, plan: 'railpack-plan.json' }
  expect(await findAppRoot(folder, 'apps/plan', chosen)).toMatchObject({
    folder,
    options: { plan: 'apps/plan/railpack-plan.json' },
  })
  expect(await findAppRoot(folder, 'apps/site', none)).toEqual({
    folder: join(folder, 'apps/site'),
    options: none,
    note: 'apps/site has no Dockerfile and no plan: only this folder is sent, and railpack builds it',
  })
  await expect(findAppRoot(folder, 'apps/none', none)).rejects.toThrow(
    `--root: there is no folder apps/none in ${folder}`,
  )
  expect(dry('--root', '../x')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('like apps/web, not ../x'),
  })
  expect(dry('--root', 'apps/web').stdout).toContain('in 6 files')
  expect(dry('--root', 'apps/site').stdout).toContain('in 1 files')
})

test('changes that are not committed are said, and mark the commit', async () => {
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', folder, '-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
      encoding: 'utf8',
    }).trim()
  write({ a: '1', b: '2', 'other/c': '3' })
  git('init', '-q')
  git('add', '.')
  git('commit', '-qm', 'first')
  const head = git('rev-parse', 'HEAD')
  expect(await sourceFacts(folder, {})).toMatchObject({ facts: { commit: head }, note: null })

  write({ a: 'changed', d: 'new' })
  const { facts, note } = await sourceFacts(folder, {})
  expect(facts.commit).toBe(`${head}-dirty`)
  expect(note).toBe(
    `not committed: 1 changed, 1 new; sent as they are, and recorded as commit ${head.slice(0, 7)}…-dirty`,
  )
  // Another folder of the repository is as it was. A CI system names its commit itself.
  expect((await sourceFacts(join(folder, 'other'), {})).note).toBeNull()
  const ci = { GITHUB_ACTIONS: 'true', GITHUB_SHA: 'f'.repeat(40) }
  expect(await sourceFacts(folder, ci)).toMatchObject({
    facts: { commit: ci.GITHUB_SHA },
    note: null,
  })
})
