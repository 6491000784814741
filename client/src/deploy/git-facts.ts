import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { DeploymentOptions } from '#api/options.ts'

type Facts = Pick<DeploymentOptions, 'commit' | 'branch' | 'message' | 'author' | 'trigger'>
const run = promisify(execFile)
const gitMs = 5000

/**
 * CI systems: the variable that identifies each, and its variables for commit, branch, message and
 * author.
 */
const systems: Record<
  string,
  { commit: string; branch: string[]; message?: string; author?: string }
> = {
  GITHUB_ACTIONS: { commit: 'GITHUB_SHA', branch: ['GITHUB_HEAD_REF', 'GITHUB_REF_NAME'] },
  GITLAB_CI: {
    commit: 'CI_COMMIT_SHA',
    branch: ['CI_MERGE_REQUEST_SOURCE_BRANCH_NAME', 'CI_COMMIT_REF_NAME'],
    message: 'CI_COMMIT_TITLE',
    author: 'CI_COMMIT_AUTHOR',
  },
  BUILDKITE: {
    commit: 'BUILDKITE_COMMIT',
    branch: ['BUILDKITE_BRANCH'],
    message: 'BUILDKITE_MESSAGE',
    author: 'BUILDKITE_BUILD_AUTHOR',
  },
  CIRCLECI: { commit: 'CIRCLE_SHA1', branch: ['CIRCLE_BRANCH'], author: 'CIRCLE_USERNAME' },
  TRAVIS: {
    commit: 'TRAVIS_COMMIT',
    branch: ['TRAVIS_PULL_REQUEST_BRANCH', 'TRAVIS_BRANCH'],
    message: 'TRAVIS_COMMIT_MESSAGE',
  },
  JENKINS_URL: { commit: 'GIT_COMMIT', branch: ['CHANGE_BRANCH', 'GIT_BRANCH'] },
}

const systemOf = (env: NodeJS.ProcessEnv) =>
  Object.entries(systems).find(([name]) => env[name])?.[1]

/** What starts a deployment of this client. */
export const triggerOf = (env: NodeJS.ProcessEnv): string =>
  systemOf(env) || env['CI'] ? 'ci' : 'cli'

/**
 * The origin of a source, from the CI system or else from git. Never fails: these are only labels.
 */
export async function gitFacts(folder: string, env: NodeJS.ProcessEnv): Promise<Partial<Facts>> {
  const system = systemOf(env)
  const ci = (names: string[]) => names.map((name) => env[name]).find(Boolean)

  const git = async (...args: string[]) => {
    const done = run('git', ['-C', folder, ...args], { timeout: gitMs }).catch(() => ({
      stdout: '',
    }))
    return (await done).stdout.trim()
  }

  const [head, branch] = await Promise.all([
    git('log', '-1', '--format=%H%x00%s%x00%an <%ae>'),
    git('symbolic-ref', '--short', '-q', 'HEAD'),
  ])

  const [commit, message, author] = head.split('\0')
  const facts: Record<keyof Facts, string | undefined> = {
    commit: ci([system?.commit ?? '']) ?? commit,
    branch: ci(system?.branch ?? []) ?? branch,
    message: (ci([system?.message ?? '']) ?? message)?.split('\n')[0]!.slice(0, 200),
    author: (ci([system?.author ?? '']) ?? author)?.slice(0, 200),
    trigger: triggerOf(env),
  }
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value))
}
