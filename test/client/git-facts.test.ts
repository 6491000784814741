import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startOf } from '../../client/src/deploy/ci-system.ts'
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
    GITHUB_SERVER_URL: 'https://github.com',
    GITHUB_REPOSITORY: 'acme/shop',
    GITHUB_RUN_ID: '7',
    GITHUB_RUN_ATTEMPT: '2',
  }
  expect(await gitFacts(folder, ci)).toMatchObject({
    commit: 'f'.repeat(40),
    branch: 'main',
    message: 'Add the shop',
    trigger: 'ci',
    'ci-run': 'https://github.com/acme/shop/actions/runs/7/attempts/2',
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

test('each CI system names the page of its run; what is no address of the web is left out', () => {
  const runs: [NodeJS.ProcessEnv, string | undefined][] = [
    [
      { GITLAB_CI: 'true', CI_JOB_URL: 'https://gitlab.com/a/b/-/jobs/1' },
      'https://gitlab.com/a/b/-/jobs/1',
    ],
    [
      { BUILDKITE: 'true', BUILDKITE_BUILD_URL: 'https://buildkite.com/a/b/builds/1' },
      'https://buildkite.com/a/b/builds/1',
    ],
    [
      { CIRCLECI: 'true', CIRCLE_BUILD_URL: 'https://circleci.com/gh/a/b/1' },
      'https://circleci.com/gh/a/b/1',
    ],
    [
      { TRAVIS: 'true', TRAVIS_JOB_WEB_URL: 'https://app.travis-ci.com/a/b/jobs/1' },
      'https://app.travis-ci.com/a/b/jobs/1',
    ],
    [{ JENKINS_URL: 'http://ci/', BUILD_URL: 'http://ci/job/shop/1/' }, 'http://ci/job/shop/1/'],
    [{ JENKINS_URL: 'http://ci/', BUILD_URL: 'javascript:alert(1)' }, undefined],
    [{ GITLAB_CI: 'true', CI_JOB_URL: 'https://user:secret@gitlab.com/a' }, undefined],
    [{ GITHUB_ACTIONS: 'true' }, undefined],
    [{ CI: 'true' }, undefined],
  ]
  for (const [env, run] of runs)
    expect(startOf(env)).toEqual({ trigger: 'ci', ...(run && { 'ci-run': run }) })
})

test('a folder without a repository has only its trigger as a fact', async () => {
  expect(await gitFacts(tmpdir(), {})).toEqual({ trigger: 'cli' })
})
