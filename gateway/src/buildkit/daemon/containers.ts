import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { tool } from '../../host/child/exec-tool.ts'

export type Container = z.infer<typeof Container>
const Container = z.object({
  id: z.string(),
  pid: z.number(),
  status: z.string(),
  bundle: z.string(),
})

/** The daemon's program, and the folder of its cache. */
type DaemonPaths = { command: string; root: string }

/** The running steps of a daemon on this machine. */
export async function runningContainers({ command, root }: DaemonPaths): Promise<Container[]> {
  for (const runc of runcsOf(command)) {
    const listed = await list(runc)
    if (listed === null) continue
    return listed.filter(
      ({ bundle, status }) => status === 'running' && bundle.startsWith(`${root}/`),
    )
  }
  return []
}

/**
 * Removes what a killed daemon leaves: running containers with their processes, and mounts. The
 * daemon removes its network namespaces itself when it starts again.
 */
export async function removeLeftovers({ command, root }: DaemonPaths): Promise<void> {
  for (const runc of runcsOf(command))
    for (const { id, bundle } of (await list(runc)) ?? [])
      if (bundle.startsWith(`${root}/`)) await tool(runc, 'delete', '--force', id)

  const namespaces = join(root, 'net/')
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4]?.replaceAll('\\040', ' ') ?? '')
    .filter((path) => path.startsWith(`${root}/`) && !path.startsWith(namespaces))
  for (const mount of mounts.toReversed()) await tool('umount', '--lazy', mount)
}

/** The daemon prefers its own runc. */
const runcsOf = (command: string) => [join(dirname(command), 'buildkit-runc'), 'runc']

/** Null: there is no such program. */
async function list(runc: string): Promise<Container[] | null> {
  const listed = await tool(runc, 'list', '--format', 'json')
  return listed === null ? null : (Container.array().nullable().parse(JSON.parse(listed)) ?? [])
}
