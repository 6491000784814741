import type { Deployment, SourceFacts } from '#api/deployment.ts'
import { Problem } from '#api/problem.ts'
import type { SourceChanges } from '#api/sources/changes.ts'
import { tarBytes } from '#api/tar-writer.ts'
import { archiveOf } from '../../buildkit/context/context-pieces.ts'
import type { SourceTree } from '../../deployments/source-tree.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Sources } from '../../sources/sources.ts'
import { findDeployment } from '../deployments.ts'
import { sourceGone } from '../existing-image.ts'
import { compareTrees } from './compare-trees.ts'
import { liveBefore } from './live-before.ts'
import type { SourceCommands } from './source-commands.ts'

export type SourceDeps = {
  store: Pick<DeploymentStore, 'find' | 'releases'>
  sources: Pick<Sources, 'tree' | 'use'>
}

type Differences = Omit<SourceChanges, 'since'>

/** How many comparisons are kept: what is between two trees never changes. */
const keptComparisons = 100

/** See `SourceCommands`. */
export function openSources({ store, sources }: SourceDeps): SourceCommands {
  const kept = new Map<string, Promise<Differences>>()

  const treeOf = async ({ id, digest }: Kept): Promise<SourceTree> =>
    sources.tree(digest).catch((cause: unknown) => {
      throw sourceGone(id, cause)
    })

  const differences = async (a: Kept | null, b: Kept): Promise<Differences> => {
    const [before, after] = await Promise.all([a && treeOf(a), treeOf(b)])
    return compareTrees(before?.entries ?? [], after.entries)
  }

  const comparison = (a: Kept | null, b: Kept): Promise<Differences> => {
    const key = `${a?.digest} ${b.digest}`
    const found = kept.get(key) ?? differences(a, b)
    kept.delete(key) // the newest use is the last in the map
    kept.set(key, found)
    found.catch(() => kept.delete(key))
    if (kept.size > keptComparisons) kept.delete([...kept.keys()][0]!)
    return found
  }

  return {
    async archive(_caller, id) {
      const deployment = await findDeployment(store, id)
      const { app, number, createdAt } = deployment
      const { digest } = sourceIn(deployment)
      const tree = await treeOf({ id, digest })
      async function* read(): AsyncGenerator<Buffer, void> {
        for await (const piece of archiveOf(tree, new Date(createdAt))) {
          sources.use(digest) // a slow reader may take longer than a tree is kept after its last use
          yield piece
        }
      }
      return { name: `${app}-${number}-source.tar`, bytes: tarBytes(tree.entries), read }
    },

    async compare(_caller, id) {
      const deployment = await findDeployment(store, id)
      const { digest } = sourceIn(deployment)
      const live = await liveBefore(deployment, store)
      const before = live && { id: live.id, digest: live.source.digest }
      const since = live && { id: live.id, number: live.number }
      return { since, ...(await comparison(before, { id, digest })) }
    },
  }
}

type Kept = { id: string; digest: string }

function sourceIn({ id, source }: Deployment): SourceFacts {
  if (source) return source
  throw new Problem('no-source', `Deployment ${id} has no source: it deploys an image.`)
}
