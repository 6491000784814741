import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findConfig } from '../../../../gateway/src/deploy/config/config-file.ts'
import { treeOf } from '../../buildkit/tree-of.ts'

let root: string
beforeEach(async () => (root = await mkdtemp(join(tmpdir(), 'tarmac-config-'))))
afterEach(() => rm(root, { recursive: true }))

/** Finds the config file of a source that holds these files; each holds its own path. */
async function found(paths: string[], asked: string | null = null) {
  for (const path of paths) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), path)
  }
  const { file, warnings } = findConfig(treeOf(root), asked)
  expect(file?.text).toBe(file?.path)
  return { path: file?.path ?? null, warnings }
}

test.each([
  [
    ['fly.toml', 'fly.json', 'fly.yaml'],
    'fly.toml',
    'Not used: fly.json, fly.yaml; fly.toml is used.',
  ],
  [['fly.json', 'fly.yaml'], 'fly.json', 'Not used: fly.yaml; fly.json is used.'],
  [['fly.yaml', 'app/fly.toml', 'flying.toml'], 'fly.yaml', null],
  [
    ['fly.staging.toml', 'fly.yml'],
    null,
    'Not used: fly.staging.toml, fly.yml; without fly.toml, fly.json or fly.yaml the built-in defaults are used.',
  ],
  [['server.js'], null, null],
])('of %j the gateway reads %s', async (paths, path, warning) => {
  expect(await found(paths)).toEqual({
    path,
    warnings: warning === null ? [] : [expect.stringContaining(warning)],
  })
})

test('the warning says how to use the other file', async () => {
  const { warnings } = await found(['fly.staging.toml'])
  expect(warnings[0]).toMatch(
    /To use another config file: --config fly\.staging\.toml \(config=fly\.staging\.toml in a request\)$/,
  )
})

test.each(['deploy/prod.toml', './deploy//prod.toml'])(
  'option config=%s names another file, and nothing is said of the usual one',
  async (asked) => {
    expect(await found(['fly.toml', 'deploy/prod.toml'], asked)).toEqual({
      path: 'deploy/prod.toml',
      warnings: [],
    })
  },
)

test('option config may name the folder of a fly.toml, as in flyctl', async () => {
  expect((await found(['apps/web/fly.toml'], 'apps/web/')).path).toBe('apps/web/fly.toml')
  expect((await found(['fly.toml'], '.')).path).toBe('fly.toml')
})

test.each([
  ['../fly.toml', 'outside of the source'],
  ['/etc/fly.toml', 'outside of the source'],
  ['fly.prod.toml', 'has no such file'],
])('option config=%s is refused', async (asked, words) => {
  await expect(found(['fly.toml'], asked)).rejects.toThrow(
    expect.objectContaining({ code: 'option-invalid', message: expect.stringContaining(words) }),
  )
})
