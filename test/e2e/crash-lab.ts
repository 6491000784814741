/** A lab whose gateway dies where it is told to, and whose power can be cut. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import type { CrashPoint } from '../../gateway/src/crash-point.ts'
import { findFaults } from '../../lab/invariants.ts'
import { sweepBuildkitd } from '../../lab/parts/buildkitd.ts'
import { startTestLab, type TestLab } from './start.ts'

const run = promisify(execFile)
const volumeBytes = 4 * 2 ** 30 // a sparse file: what is not written takes no room

export type CrashLab = Awaited<ReturnType<typeof startCrashLab>>

export async function startCrashLab(settings: Record<string, string> = {}) {
  const lab = await startTestLab({ TARMAC_AWAY_TIMEOUT: '25', ...settings })
  return Object.assign(lab, {
    /** Runs `act` until the gateway dies at the point (SIGKILL), or stands still there (SIGSTOP). */
    async dies(name: CrashPoint, act: () => Promise<unknown>, { signal = 'SIGKILL', nth = 1 } = {}): Promise<void> {
      const orders = join(lab.dir, 'crash-orders')
      await writeFile(orders, `${name} ${signal} ${nth}`)
      const { pid } = lab.gatewayProcess
      const acted = act().catch(() => {}) // the line breaks
      await expect.poll(() => existsSync(orders), { timeout: 30_000, interval: 20, message: `at ${name}` }).toBe(false)
      const gone = signal === 'SIGKILL' ? /^$|\) [ZX] / : /\) T /
      await expect.poll(() => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''), { timeout: 5000 }).toMatch(gone)
      if (signal === 'SIGKILL') await acted
    },
    /** The gateway stands still at the point while the build daemon is killed; then both go on. */
    async losesDaemonAt(name: CrashPoint, act: () => Promise<unknown>): Promise<void> {
      await this.dies(name, act, { signal: 'SIGSTOP' })
      lab.kill('buildkitd')
      process.kill(lab.gatewayProcess.pid, 'SIGCONT')
      await lab.start('buildkitd')
    },
    /** After all that was promised has ended: nothing lost, doubled, torn or left over. */
    async sound(...promised: string[]): Promise<void> {
      await expect.poll(() => findFaults(lab, promised, true), { timeout: 10_000, interval: 500 }).toEqual([])
    },
  })
}

/**
 * Puts what the gateway and the build daemon keep on a disk of its own. Cutting the power: both die, and of the disk only
 * what had been synced is left (the image behind a loop device, without what the kernel had not written yet).
 */
export async function giveVolume(lab: TestLab) {
  const { dir } = lab
  const image = join(dir, 'volume.img')
  const volume = join(dir, 'volume')
  const parts = ['gateway', 'buildkit']
  const mount = async () => {
    await mkdir(volume, { recursive: true })
    // As cruel as can be: nothing is written for minutes unless it is synced, and a rename syncs nothing.
    await run('mount', ['-o', 'loop,commit=300,noauto_da_alloc', image, volume])
    for (const part of parts) {
      await mkdir(join(volume, part), { recursive: true })
      await run('mount', ['--bind', join(volume, part), join(dir, part)])
    }
  }
  const unmount = async () => {
    await sweepBuildkitd(dir)
    for (const path of [...parts.map((part) => join(dir, part)), volume])
      await expect.poll(() => run('umount', [path]).then(() => true, String), { timeout: 10_000 }).toBe(true)
  }
  const copy = (to: string) => run('cp', ['--sparse=always', image, to])
  await lab.stop('gateway')
  await lab.stop('buildkitd')
  await writeFile(image, '')
  await truncate(image, volumeBytes)
  await run('mkfs.ext4', ['-qF', image])
  await mount()
  lab.closing.defer(unmount)
  await lab.start('buildkitd')
  await lab.start('gateway')
  return {
    path: volume,
    async cutPower(): Promise<void> {
      lab.kill('gateway')
      lab.kill('buildkitd')
      const cut = join(dir, 'cut.img')
      await copy(cut)
      await this.restore(cut)
    },
    /** As it is now, for later. */
    async snapshot(): Promise<string> {
      const path = join(dir, 'snapshot.img')
      await run('sync', ['-f', volume])
      await copy(path)
      return path
    },
    async restore(snapshot: string): Promise<void> {
      lab.kill('gateway')
      lab.kill('buildkitd')
      await unmount()
      await rename(snapshot, image)
      await mount()
      await lab.start('buildkitd')
      await lab.start('gateway')
    },
  }
}
