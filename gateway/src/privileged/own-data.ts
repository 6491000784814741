import { chmod, chown, lstat, mkdir, readdir, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { execTool } from '../host/child/exec-tool.ts'

const chownMs = 10 * 60_000

/**
 * Gives the volume to the gateway's user, except what the privileged process writes itself. The
 * sticky bit keeps the gateway's user from replacing those files. A file under one of their names
 * that is not root's is removed, because root would write through it.
 */
export async function ownData(data: string, uid: number, buildRoot: string): Promise<void> {
  await mkdir(data, { recursive: true })
  await chown(data, 0, uid)
  await chmod(data, 0o1775)
  const isRoots = (name: string) => name === basename(buildRoot) || rootsFile.test(name)
  for (const name of await readdir(data)) {
    const path = join(data, name)
    const { uid: owner } = await lstat(path)
    if (isRoots(name)) {
      if (owner !== 0) await rm(path, { recursive: true })
    } else if (owner !== uid && name !== 'lost+found')
      await execTool('chown', ['-R', '-h', `${uid}:${uid}`, path], { timeoutMs: chownMs })
  }
}

/** The daemon's settings, sockets and record, and the resolvers of the planner. */
const rootsFile = /^(buildkitd[-.].*|plan-resolv\.conf(\.new)?)$/
