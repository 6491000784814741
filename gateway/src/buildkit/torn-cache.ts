import { open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { syncFileSystem } from '../host/sync-file-system.ts'
import type { Logger } from '../log.ts'

/** Says in which life of the machine a daemon last wrote here; gone when all of that is on disk. */
const markOf = (root: string) => join(root, 'in-use')
const bootId = () => readFile('/proc/sys/kernel/random/boot_id', 'utf8')

/**
 * Before a daemon uses its cache: throws it away when the machine lost its power while one did. The daemon then knows of
 * files whose content never came to the disk, and builds from empty ones.
 */
export async function takeCache(root: string, log: Logger): Promise<void> {
  const now = await bootId()
  if ((await readFile(markOf(root), 'utf8').catch(() => now)) !== now) {
    log.warn('the machine went down without notice: the build cache is not to be trusted and is thrown away')
    for (const name of await readdir(root)) await rm(join(root, name), { recursive: true, force: true })
  }
  await using mark = await open(markOf(root), 'w')
  await mark.writeFile(now)
  await mark.sync()
}

/** After the daemon has ended. */
export async function leaveCache(root: string): Promise<void> {
  await syncFileSystem(root)
  await rm(markOf(root), { force: true })
}
