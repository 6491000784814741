/** Removes everything that a killed lab left on this machine. Its folder stays. */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { sweepLocalfly } from './localfly/start.ts'
import { sweepBuildkitd } from './parts/buildkitd.ts'
import { unmountBelow } from './parts/mounts.ts'
import { killRecorded } from './parts/process.ts'

export async function sweep(folder: string): Promise<void> {
  const dir = resolve(folder)
  killRecorded(dir)
  await sweepLocalfly({ dir, name: labName(dir) })
  await sweepBuildkitd(dir)
  await unmountBelow(dir)
}

/** Distinguishes this folder's containers and networks from those of other labs. */
export function labName(dir: string): string {
  return `tarmac-${createHash('sha256').update(dir).digest('hex').slice(0, 8)}`
}
