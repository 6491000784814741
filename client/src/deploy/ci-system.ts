import type { DeploymentOptions } from '#api/options.ts'
import { isWebAddress } from '#api/options/labels.ts'

type Env = NodeJS.ProcessEnv
type CiSystem = {
  /** The variables of commit, branch, message and author. */
  commit: string
  branch: string[]
  message?: string
  author?: string
  /** The page of the run. */
  run: (env: Env) => string | undefined
}

/** The CI systems, by the variable that identifies each. */
const systems: Record<string, CiSystem> = {
  GITHUB_ACTIONS: {
    commit: 'GITHUB_SHA',
    branch: ['GITHUB_HEAD_REF', 'GITHUB_REF_NAME'],
    run: githubRun,
  },
  GITLAB_CI: {
    commit: 'CI_COMMIT_SHA',
    branch: ['CI_MERGE_REQUEST_SOURCE_BRANCH_NAME', 'CI_COMMIT_REF_NAME'],
    message: 'CI_COMMIT_TITLE',
    author: 'CI_COMMIT_AUTHOR',
    run: (env) => env['CI_JOB_URL'],
  },
  BUILDKITE: {
    commit: 'BUILDKITE_COMMIT',
    branch: ['BUILDKITE_BRANCH'],
    message: 'BUILDKITE_MESSAGE',
    author: 'BUILDKITE_BUILD_AUTHOR',
    run: (env) => env['BUILDKITE_BUILD_URL'],
  },
  CIRCLECI: {
    commit: 'CIRCLE_SHA1',
    branch: ['CIRCLE_BRANCH'],
    author: 'CIRCLE_USERNAME',
    run: (env) => env['CIRCLE_BUILD_URL'],
  },
  TRAVIS: {
    commit: 'TRAVIS_COMMIT',
    branch: ['TRAVIS_PULL_REQUEST_BRANCH', 'TRAVIS_BRANCH'],
    message: 'TRAVIS_COMMIT_MESSAGE',
    run: (env) => env['TRAVIS_JOB_WEB_URL'],
  },
  JENKINS_URL: {
    commit: 'GIT_COMMIT',
    branch: ['CHANGE_BRANCH', 'GIT_BRANCH'],
    run: (env) => env['BUILD_URL'],
  },
}

function githubRun(env: Env): string | undefined {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository, GITHUB_RUN_ID: id } = env
  if (!server || !repository || !id) return undefined
  const attempt = env['GITHUB_RUN_ATTEMPT']
  return `${server}/${repository}/actions/runs/${id}${attempt ? `/attempts/${attempt}` : ''}`
}

export const ciSystemOf = (env: Env): CiSystem | undefined =>
  Object.entries(systems).find(([name]) => env[name])?.[1]

/** What starts a deployment of this client. `run`: only a label, so a wrong one is left out. */
export function startOf(env: Env): Pick<DeploymentOptions, 'trigger'> & { 'ci-run'?: string } {
  const system = ciSystemOf(env)
  const run = system?.run(env)
  const trigger = system || env['CI'] ? 'ci' : 'cli'
  return { trigger, ...(run && isWebAddress(run) && { 'ci-run': run }) }
}
