import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { gitFacts } from '../../client/src/deploy/git-facts.ts'

let folder: string
const git = (...args: string[]) =>
  execFileSync(
    'git',
    ['-C', folder, '-c', 'user.name=Ada L', '-c', 'user.email=ada@example.com', ...args],
    { encoding: 'utf8' },
  ).trim()
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tarmac-git-'))
  git('init', '-q', '-b', 'feature/x')
  git('commit', '-q', '--allow-empty', '-m', 'Add the shop\n\nAt length.')
})
afterAll(() => rmSync(folder, { recursive: true }))

test('a laptop gives commit, branch, first line of the message and author, as in git', async () => {
  expect(await gitFacts(folder, {})).toEqual({
    commit: git('rev-parse', 'HEAD'),
    branch: 'feature/x',
    message: 'Add the shop',
    author: 'Ada L <ada@example.com>',
    trigger: 'cli',
  })
})

test('CI variables add what git lacks on a detached head', async () => {
  const ci = {
    GITHUB_ACTIONS: 'true',
    GITHUB_SHA: 'f'.repeat(40),
    GITHUB_HEAD_REF: '',
    GITHUB_REF_NAME: 'main',
  }
  expect(await gitFacts(folder, ci)).toMatchObject({
    commit: 'f'.repeat(40),
    branch: 'main',
    message: 'Add the shop',
    trigger: 'ci',
  })
  const buildkite = {
    BUILDKITE: 'true',
    BUILDKITE_COMMIT: 'abc',
    BUILDKITE_MESSAGE: 'One\ntwo',
    BUILDKITE_BRANCH: 'b',
  }
  expect(await gitFacts(folder, buildkite)).toMatchObject({
    commit: 'abc',
    message: 'One',
    branch: 'b',
  })
})

test('a folder without a repository has only its trigger as a fact', async () => {
  expect(await gitFacts(tmpdir(), {})).toEqual({ trigger: 'cli' })
})
