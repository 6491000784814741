import { readdir, readFile, rm } from 'node:fs/promises'
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
 * daemon removes the network namespaces that still exist when it starts again.
 */
export async function removeLeftovers({ command, root }: DaemonPaths): Promise<void> {
  for (const runc of runcsOf(command))
    for (const { id, bundle } of (await list(runc)) ?? [])
      if (bundle.startsWith(`${root}/`)) await tool(runc, 'delete', '--force', id)

  const namespaces = join(root, 'net/cni')
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
    .split('\n')
    .map((line) => line.split(' ')[4]?.replaceAll('\\040', ' ') ?? '')
    .filter((path) => path.startsWith(`${root}/`))
  for (const mount of mounts.toReversed())
    if (!mount.startsWith(namespaces)) await tool('umount', '--lazy', mount)

  // After a new boot of the machine the files of its namespaces are left, and nothing behind them.
  // The daemon would keep them and complain at every start.
  for (const name of await readdir(namespaces).catch(() => [])) {
    const path = join(namespaces, name)
    if (!mounts.includes(path)) await rm(path, { recursive: true, force: true })
  }
}

/** The daemon prefers its own runc. */
const runcsOf = (command: string) => [join(dirname(command), 'buildkit-runc'), 'runc']

/** Null: there is no such program. */
async function list(runc: string): Promise<Container[] | null> {
  const listed = await tool(runc, 'list', '--format', 'json')
  return listed === null ? null : (Container.array().nullable().parse(JSON.parse(listed)) ?? [])
}
