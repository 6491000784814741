import type { Buildkit } from '../client.ts'
import { hasFile, type SourceTree } from '../../deployments/source-tree.ts'
import { marshal } from '../../llb/graph.ts'
import { sourceTree } from './source-node.ts'

/** Sends the source to the daemon early, unless the plan may exclude some of its files. */
export async function warmSourceCache(
  buildkit: Buildkit,
  app: string,
  tree: SourceTree,
  signal: AbortSignal,
): Promise<void> {
  if (hasFile(tree, '.dockerignore') || hasFile(tree, 'railpack.json')) return
  using context = buildkit.serveContext(app, tree, { ignore: [] })
  await buildkit.warmCache(app, marshal(sourceTree(context)), signal)
}
