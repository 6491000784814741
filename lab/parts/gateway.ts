/** The gateway in its own process, as on Fly, connected to the parts of a lab. */
import { join } from 'node:path'
import { cacheDir } from '../ready.ts'
import { type LabProcess, killRecorded, startProcess } from './process.ts'

const main = join(import.meta.dirname, '../../gateway/src/main.ts')

export interface GatewayOptions {
  /** The lab's folder; the gateway's volume is `gateway/` in it. */
  dir: string
  port: number
  /** The gateway's settings, by their names in the environment. */
  settings: Record<string, string>
}

/** Starts the gateway and waits until it reports that it is ready. */
export async function startGatewayProcess({
  dir,
  port,
  settings,
}: GatewayOptions): Promise<LabProcess> {
  killRecorded(dir, 'gateway')
  return startProcess({
    name: 'gateway',
    dir,
    port,
    // As in gateway/Dockerfile: the cache and the small young generation save a third of its
    // memory.
    command: [process.execPath, '--max-semi-space-size=2', '--max-old-space-size=1024', main],
    env: {
      ...Object.fromEntries(namesOfLab.map((name) => [name, undefined])),
      NODE_COMPILE_CACHE: join(cacheDir, 'compiled'),
      TARMAC_HOST: '127.0.0.1',
      ...settings,
      TARMAC_PORT: String(port),
      TARMAC_DATA: join(dir, 'gateway'),
    },
    isReady: async () =>
      (
        await fetch(`http://127.0.0.1:${port}/readyz`, {
          signal: AbortSignal.timeout(2_000),
        }).catch(() => undefined)
      )?.status === 200,
    readyMs: 60_000,
  })
}

/** What the lab and the tests read themselves. The gateway refuses names that it does not know. */
const namesOfLab = ['TARMAC_CACHE', 'TARMAC_SEED', 'TARMAC_MASK_CASES', 'TARMAC_FUZZ_MS']
