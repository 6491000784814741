/** A whole lab for one file of tests, and the actions of its tests. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import { freePort } from '../../lab/parts/ports.ts'
import { startLab } from '../../lab/start-lab.ts'
import { actionsOn } from './lab-actions.ts'
import { leftOf, recordTraces } from './left-over.ts'

/**
 * Finds a free port for a lab of this process, away from the ports of a lab that is starting in
 * parallel.
 */
export const labPort = () => freePort(20_000 + 20 * (process.pid % 500))

export { type Files, pageApp } from './lab-actions.ts'
export type TestLab = Awaited<ReturnType<typeof startTestLab>>

/**
 * Starts a lab with short timeouts, unless the settings say otherwise. Disposing it fails when the
 * lab left something on this machine.
 */
export async function startTestLab(settings: Record<string, string> = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-e2e-'))
  const lab = await startLab({
    dir,
    port: await labPort(),
    settings: {
      TARMAC_WATCH: '1',
      TARMAC_MACHINE_TIMEOUT: '20',
      TARMAC_DRAIN: '0',
      TARMAC_CRASH_FILE: join(dir, 'crash-orders'),
      ...settings,
    },
  })
  const closing = new AsyncDisposableStack()
  return {
    ...lab,
    ...actionsOn(lab),
    get gatewayProcess() {
      return lab.gatewayProcess // the current one: the gateway may have been restarted
    },
    /** Resources to dispose after the lab's parts. */
    closing,

    /** Everything that a request may leave: files of the gateway, records, apps, containers. */
    async holdings() {
      const data = join(dir, 'gateway')
      const names = async (folder: string) =>
        (await readdir(join(data, folder))).filter((name) => name !== 'plans')
      using database = new DatabaseSync(join(data, 'tarmac.db'), { readOnly: true })
      const fly = await readFile(join(dir, 'localfly/state.json'), 'utf8').catch(
        () => '{"apps":[]}',
      )
      const containers = (await recordTraces(dir)).processes.filter((command) =>
        /conmon|runc/.test(command),
      )
      return {
        spool: await names('spool'),
        plans: await readdir(join(data, 'spool/plans')).catch(() => []),
        trees: await names('trees'),
        records: database.prepare('SELECT count(*) AS n FROM deployments').get()!['n'],
        apps: (JSON.parse(fly) as { apps: { name: string }[] }).apps.map(({ name }) => name),
        containers: containers.length,
      }
    },

    async [Symbol.asyncDispose]() {
      const traces = await recordTraces(dir)
      await lab[Symbol.asyncDispose]()
      await closing.disposeAsync()
      expect(traces.processes.length).toBeGreaterThan(1) // otherwise the search for them is wrong
      expect(await leftOf(traces)).toEqual([])
      await rm(dir, { recursive: true })
    },
  }
}
