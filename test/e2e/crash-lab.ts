/** A lab whose gateway can crash at a chosen point, and whose power can be cut. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, rename, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect } from 'vitest'
import type { CrashPoint } from './crash-table.ts'
import { findFaults } from '../../lab/invariants.ts'
import { unmountBelow } from '../../lab/parts/mounts.ts'
import { removeContainers } from '../../lab/parts/runc-containers.ts'
import { startTestLab, type TestLab } from './start.ts'

const run = promisify(execFile)
const volumeBytes = 4 * 2 ** 30 // a sparse file: unwritten parts take no space

export type CrashLab = Awaited<ReturnType<typeof startCrashLab>>

export async function startCrashLab(settings: Record<string, string> = {}) {
  const lab = await startTestLab({ TARMAC_AWAY_TIMEOUT: '25', ...settings })
  return Object.assign(lab, {
    /** Runs `act` until the gateway dies at the point (SIGKILL), or halts there (SIGSTOP). */
    async dies(
      name: CrashPoint,
      act: () => Promise<unknown>,
      { signal = 'SIGKILL', nth = 1 } = {},
    ): Promise<void> {
      const orders = join(lab.dir, 'crash-orders')
      await writeFile(orders, `${name} ${signal} ${nth}`)
      const { pid } = lab.gatewayProcess
      const acted = act().catch(() => {}) // the connection breaks
      await expect
        .poll(() => existsSync(orders), { timeout: 30_000, interval: 20, message: `at ${name}` })
        .toBe(false)

      const gone = signal === 'SIGKILL' ? /^$|\) [ZX] / : /\) T /
      await expect
        .poll(() => readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''), { timeout: 5000 })
        .toMatch(gone)
      if (signal === 'SIGKILL') await acted
    },
    /** Halts the gateway at the point, kills the build daemon, and lets both continue. */
    async losesDaemonAt(name: CrashPoint, act: () => Promise<unknown>): Promise<void> {
      await this.dies(name, act, { signal: 'SIGSTOP' })
      lab.kill('buildkitd')
      process.kill(lab.gatewayProcess.pid, 'SIGCONT')
      await lab.start('buildkitd')
    },
    /**
     * Waits until all promised deployments have ended. Nothing may be lost, doubled, torn or left
     * over.
     */
    async sound(...promised: string[]): Promise<void> {
      await expect
        .poll(() => findFaults(lab, promised, true), { timeout: 30_000, interval: 500 })
        .toEqual([])
    },
  })
}

/**
 * Puts the gateway's volume on its own disk, with the cache of the build daemon that it supervises.
 * A power cut kills both, and the disk keeps only synced data: the image behind a loop device,
 * without what the kernel had not written yet.
 */
export async function giveVolume(lab: TestLab) {
  const { dir } = lab
  const image = join(dir, 'volume.img')
  const data = join(dir, 'gateway')
  // The worst case: nothing is written for minutes unless it is synced, and a rename syncs nothing.
  const mount = () => run('mount', ['-o', 'loop,commit=300,noauto_da_alloc', image, data])
  const killAll = async () => {
    lab.kill('gateway')
    const { pid } = JSON.parse(await readFile(join(data, 'buildkitd.json'), 'utf8')) as {
      pid: number
    }
    process.kill(-pid, 'SIGKILL')
    await removeContainers(data)
  }
  const unmount = async () => {
    await unmountBelow(data)
    for (let tries = 0; ; tries++) {
      const error = await run('umount', [data]).then(() => null, String)
      if (error === null) return
      if (tries > 50) throw new Error(error)
      await sleep(200)
    }
  }
  const copyTo = (path: string) => run('cp', ['--sparse=always', image, path])
  await lab.stop('gateway')
  await writeFile(image, '')
  await truncate(image, volumeBytes)
  await run('mkfs.ext4', ['-qF', image])
  await mount()
  lab.closing.defer(unmount)
  await lab.start('gateway')
  const restore = async (snapshot: string) => {
    await unmount()
    await rename(snapshot, image)
    await mount()
    // Simulates another boot of the machine, which recognises what an earlier one had in use.
    await writeFile(join(data, 'buildkit/in-use'), 'before')
    await lab.start('gateway')
  }
  return {
    path: data,
    async cutPower(): Promise<void> {
      await killAll()
      await copyTo(join(dir, 'cut.img'))
      await restore(join(dir, 'cut.img'))
    },
    /** Returns a snapshot of the current state. */
    async snapshot(): Promise<string> {
      await run('sync', ['-f', data])
      await copyTo(join(dir, 'snapshot.img'))
      return join(dir, 'snapshot.img')
    },
    async restore(snapshot: string): Promise<void> {
      await killAll()
      await restore(snapshot)
    },
  }
}
