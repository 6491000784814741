import { copy, http, merge, type Node, scratch } from '../../llb/graph.ts'
import type { Context } from './context-server.ts'

/**
 * The source as a file system: a tar from a web server that the daemon can reach, unpacked, and the
 * large files beside it. With the tar's `checksum`, the daemon does not even request an unchanged
 * source; large files always have theirs.
 */
export function sourceTree(
  { url, large = [] }: Pick<Context, 'url'> & Partial<Pick<Context, 'large'>>,
  { checksum, name = 'loading .' }: { checksum?: string; name?: string } = {},
): Node {
  // Without this name the log would show the URL, and anybody with the URL can read the source. It
  // is internal because the daemon never reports a download as cached.
  const tar = http(url, { filename: 'source.tar', checksum }, '[internal] receive the source')
  const options = { src: '/source.tar', dest: '/', attemptUnpackDockerCompatibility: true }
  const files = large.map(({ url, file }) =>
    http(
      url,
      { filename: file.path, checksum: `sha256:${file.sha256}`, mode: file.mode },
      `[internal] receive ${file.path}`,
    ),
  )
  const rest = copy(scratch, tar, options, name)
  return merge([rest, ...files], '[internal] join the source') ?? rest
}
