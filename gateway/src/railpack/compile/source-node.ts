import { copy, http, scratch } from '../../llb/graph.ts'
import type { Node } from '../../llb/graph.ts'

/**
 * The source as a file system: a tar from a web server that the daemon can reach, unpacked. With the tar's `sha256:…`
 * known, an unchanged source is not even asked for.
 */
export function sourceTree(url: string, checksum?: string): Node {
  // Without a name the log would show the URL, and whoever has that can read the source. Internal, since the daemon
  // never says of a download that it was cached.
  const tar = http(url, { filename: 'source.tar', checksum }, '[internal] receive the source')
  const options = { src: '/source.tar', dest: '/', attemptUnpackDockerCompatibility: true }
  return copy(scratch, tar, options, 'loading .')
}
