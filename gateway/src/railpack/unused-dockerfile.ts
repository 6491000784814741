import type { NewEvent } from '#api/event.ts'
import { someOf } from '#api/text/some-of.ts'
import { hasFile, linkTarget, type SourceTree } from '../deployments/source-tree.ts'

const maxShown = 3

/**
 * What to say about the Dockerfiles of a source that railpack builds, or null. `reason` is why
 * railpack builds it.
 */
export function unusedDockerfile(
  tree: Pick<SourceTree, 'entries'>,
  dockerfiles: readonly string[],
  reason: string,
): NewEvent | null {
  for (const path of ['Dockerfile', 'dockerfile']) {
    const target = linkTarget(tree, path)
    if (target !== null && !hasFile(tree, path)) {
      const text = `${path} is a link to ${target}, which is no file of the source, so railpack plans the build. Send the file too, or replace the link by it.`
      return { type: 'warning', text }
    }
  }
  const [first] = dockerfiles.toSorted((a, b) => depth(a) - depth(b))
  if (first === undefined) return null

  const text = `Not used: ${someOf(dockerfiles, maxShown)}. railpack plans the build: ${reason}. To build by a Dockerfile, deploy with --dockerfile ${first} (dockerfile=${first} in a request).`
  return { type: 'note', text }
}

const depth = (path: string): number => path.split('/').length
