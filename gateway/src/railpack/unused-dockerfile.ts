import { basename } from 'node:path/posix'
import type { NewEvent } from '#api/event.ts'
import { hasFile, linkTarget, type SourceTree } from '../deployments/source-tree.ts'

const maxShown = 3
const isDockerfile = (path: string): boolean =>
  /^(?:[Dd]ockerfile|Containerfile)(?:\.(?!dockerignore$).+)?$|\.[Dd]ockerfile$/.test(
    basename(path),
  ) && !/(?:^|\/)node_modules\//.test(path)

/**
 * What to say about the Dockerfiles of a source that is built by railpack, or null. `reason` is why
 * railpack builds it.
 */
export function unusedDockerfile(tree: SourceTree, reason: string): NewEvent | null {
  for (const path of ['Dockerfile', 'dockerfile']) {
    const target = linkTarget(tree, path)
    if (target !== null && !hasFile(tree, path)) {
      const text = `${path} is a link to ${target}, which is no file of the source, so railpack plans the build. Send the file too, or replace the link by it.`
      return { type: 'warning', text }
    }
  }
  const unused = tree.entries.flatMap(({ type, path }) =>
    type !== 'folder' && isDockerfile(path) ? [path] : [],
  )
  const [first] = unused.toSorted((a, b) => depth(a) - depth(b))
  if (first === undefined) return null

  const shown = unused.slice(0, maxShown).join(', ')
  const more = unused.length > maxShown ? ` and ${unused.length - maxShown} more` : ''
  const text = `Not used: ${shown}${more}. railpack plans the build: ${reason}. To build by a Dockerfile, set the option dockerfile=${first}.`
  return { type: 'note', text }
}

const depth = (path: string): number => path.split('/').length
