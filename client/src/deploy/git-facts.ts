import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { DeploymentOptions } from '#api/options.ts'
import { ciSystemOf, startOf } from './ci-system.ts'

export type GitFacts = Pick<
  DeploymentOptions,
  'commit' | 'branch' | 'message' | 'author' | 'trigger' | 'ci-run'
>
const run = promisify(execFile)
const gitMs = 5000
const maxListBytes = 64 * 2 ** 20

/** What git says in a folder. Empty if it says nothing, or takes too long. */
async function git(folder: string, ...args: string[]): Promise<string> {
  const settings = ['-C', folder, '-c', 'core.fsmonitor=false']
  const limits = { timeout: gitMs, maxBuffer: maxListBytes }
  const done = run('git', [...settings, ...args], limits).catch(() => ({ stdout: '' }))
  return (await done).stdout.trim()
}

/** How many files of a folder differ from the commit, and how many git does not know. */
export async function uncommitted(folder: string): Promise<{ changed: number; unknown: number }> {
  const lines = (await git(folder, '--no-optional-locks', 'status', '--porcelain', '--', '.'))
    .split('\n')
    .filter(Boolean)
  const unknown = lines.filter((line) => line.startsWith('??')).length
  return { changed: lines.length - unknown, unknown }
}

/**
 * The origin of a source, with the commit marked if files differ from it. `note`: says so.
 */
export async function sourceFacts(
  folder: string,
  env: NodeJS.ProcessEnv,
): Promise<{ facts: Partial<GitFacts>; note: string | null }> {
  const [facts, { changed, unknown }] = await Promise.all([
    gitFacts(folder, env),
    uncommitted(folder),
  ])
  const isOfCi = ciSystemOf(env) !== undefined
  if (facts.commit === undefined || isOfCi || changed + unknown === 0) return { facts, note: null }
  const commit = `${facts.commit}${dirty}`
  const counts = [
    ...(changed > 0 ? [`${changed} changed`] : []),
    ...(unknown > 0 ? [`${unknown} new`] : []),
  ].join(', ')
  return {
    facts: { ...facts, commit },
    note: `not committed: ${counts}; sent as they are, and recorded as commit ${commit.slice(0, 7)}…${dirty}`,
  }
}

/** As `git describe --dirty` marks it. */
const dirty = '-dirty'

/**
 * The origin of a source, from the CI system or else from git. Never fails: these are only labels.
 */
export async function gitFacts(folder: string, env: NodeJS.ProcessEnv): Promise<Partial<GitFacts>> {
  const system = ciSystemOf(env)
  const ci = (names: string[]) => names.map((name) => env[name]).find(Boolean)

  const [head, branch] = await Promise.all([
    git(folder, 'log', '-1', '--format=%H%x00%s%x00%an <%ae>'),
    git(folder, 'symbolic-ref', '--short', '-q', 'HEAD'),
  ])

  const [commit, message, author] = head.split('\0')
  const facts: Partial<Record<keyof GitFacts, string | null | undefined>> = {
    commit: ci([system?.commit ?? '']) ?? commit,
    branch: ci(system?.branch ?? []) ?? branch,
    message: (ci([system?.message ?? '']) ?? message)?.split('\n')[0]!.slice(0, 200),
    author: (ci([system?.author ?? '']) ?? author)?.slice(0, 200),
    ...startOf(env),
  }
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value))
}
