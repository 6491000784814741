import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { SourceTree } from '../../deployments/source-tree.ts'
import type { TreeFiles } from './context-thread.ts'
import { contextThreads } from './context-threads.ts'
import { surveyEntries, type Rules, type Survey } from './make-view.ts'

/** Where the files of a tree are, for a thread. */
export const filesOf = ({ root, entries, manifest }: SourceTree): TreeFiles =>
  manifest === undefined ? { root, entries } : { root, manifest }

/** A tree with so few entries is looked at faster than a thread starts. */
const smallEntries = 5_000

/** Looks at a tree under its ignore rules. Throws `build-failed` for an invalid pattern. */
export const surveyTree = (tree: SourceTree, rules: Rules): Promise<Survey> =>
  tree.entries.length <= smallEntries && rules.ignore.length === 0
    ? surveyEntries(tree.root, tree.entries, rules)
    : onThread('survey', { ...filesOf(tree), rules })

/** The folder that the planner of a tree sees, until it is disposed of. */
export type View = { root: string } & AsyncDisposable

/**
 * Gives the planner the part of a tree that the build sees: the tree itself if that is all of it,
 * else a folder beside the tree that takes no room on the disk. If the gateway dies, that folder is
 * removed with the tree.
 */
export async function openView(tree: SourceTree, survey: Survey): Promise<View> {
  if (survey.excluded + survey.marked.length === 0)
    return { root: tree.root, [Symbol.asyncDispose]: async () => {} }

  const into = join(dirname(tree.root), `view-${randomUUID()}`)
  const remove = () => rm(into, { recursive: true, force: true })
  try {
    await onThread('view', { ...filesOf(tree), rules: survey.rules, into })
  } catch (error) {
    await remove()
    throw error
  }
  return { root: into, [Symbol.asyncDispose]: remove }
}

async function onThread<T>(kind: string, job: unknown): Promise<T> {
  const { port, end } = contextThreads.start(kind, job)
  try {
    return await port.value<T>()
  } finally {
    end()
  }
}
