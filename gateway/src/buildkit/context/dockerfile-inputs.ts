import { dirname } from 'node:path/posix'
import { marshal, mkdir, mkfile, scratch } from '../../llb/graph.ts'
import type { Node } from '../../llb/graph.ts'
import type { Dockerfile } from '../dockerfile.ts'
import type { Context } from './context-server.ts'
import { sourceTree } from './source-node.ts'

/**
 * The inputs of a Dockerfile frontend, as encoded graphs under the names that BuildKit gives them
 * (its frontend/dockerui/context.go): the context, and the Dockerfile beside it. So the context
 * holds the Dockerfile only if the ignore rules keep it there.
 */
export const dockerfileInputs = (
  dockerfile: Pick<Dockerfile, 'path' | 'content'>,
  source: Pick<Context, 'url' | 'large'>,
): { context: Uint8Array; dockerfile: Uint8Array } => ({
  context: marshal(sourceTree(source, { name: 'load the source' })),
  dockerfile: marshal(alone(dockerfile)),
})

/** A file system that holds this file alone. It travels in the graph itself. */
function alone({ path, content }: Pick<Dockerfile, 'path' | 'content'>): Node {
  const folder = dirname(path)
  const onto = folder === '.' ? scratch : mkdir(scratch, `/${folder}`, 0o755)
  const file = { path: `/${path}`, mode: 0o644, data: content }
  return mkfile(onto, file, `[internal] load build definition from ${path}`)
}
