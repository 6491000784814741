import { chown, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { asUser } from '../host/run-child.ts'

/** nobody: owns nothing, so the planner can read the source and write its answer, and that is all. */
const nobody = 65534

/** How a planner is started, and where it sees the tree and the folder for its answer. */
export type PlannerUser = {
  treeRoot: string
  out: string
  run(command: string, args: string[]): { command: string; args: string[]; uid?: number }
}

/** The planner runs as nobody where we are root, else as ourselves. */
export async function plannerUser(treeRoot: string, out: string): Promise<PlannerUser> {
  if (process.getuid?.() !== 0) return { treeRoot, out, run: (command, args) => ({ command, args }) }
  await chown(out, nobody, nobody)
  if ((await isOpen(dirname(treeRoot))) && (await isOpen(dirname(out)))) {
    return { treeRoot, out, run: (command, args) => ({ command, args, uid: nobody }) }
  }
  return {
    treeRoot: '/mnt/app',
    out: '/mnt/out',
    run: (command, args) => {
      const namespace = ['--mount', '--propagation', 'private', '--']
      const script = ['/bin/sh', '-ec', showFolders, 'sh', treeRoot, out]
      return { command: '/usr/bin/unshare', args: [...namespace, ...script, ...asUser(nobody), command, ...args] }
    },
  }
}

/** Whether every user may pass through a folder: nobody cannot reach what lies below /root. */
async function isOpen(folder: string): Promise<boolean> {
  const mayPass = ((await stat(folder)).mode & 0o001) !== 0
  return mayPass && (folder === '/' || isOpen(dirname(folder)))
}

/** Shows two folders, wherever they lie, in a mount namespace of the planner's own. */
const showFolders = `
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/app /mnt/out
mount --bind "$1" /mnt/app
mount --bind "$2" /mnt/out
mount -o remount,bind,ro /mnt/app
shift 2
exec "$@"
`
