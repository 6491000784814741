import { copy, http, scratch } from '../../llb/graph.ts'
import type { Node } from '../../llb/graph.ts'

/**
 * The source as a file system: a tar from a web server that the daemon can reach, unpacked. With
 * the tar's `checksum`, the daemon does not even request an unchanged source.
 */
export function sourceTree(
  url: string,
  { checksum, name = 'loading .' }: { checksum?: string; name?: string } = {},
): Node {
  // Without this name the log would show the URL, and anybody with the URL can read the source. It
  // is internal because the daemon never reports a download as cached.
  const tar = http(url, { filename: 'source.tar', checksum }, '[internal] receive the source')
  const options = { src: '/source.tar', dest: '/', attemptUnpackDockerCompatibility: true }
  return copy(scratch, tar, options, name)
}
