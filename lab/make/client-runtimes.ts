import { mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { clientRuntimes as pins } from '../pins.ts'
import { cacheDir, clientRuntimes } from '../ready.ts'
import type { Step } from './progress.ts'

/** Fetches the runtimes on which the bundle of the client is tested. No script of a package runs. */
export async function makeClientRuntimes({ say, run }: Step): Promise<void> {
  const made = await mkdtemp(join(cacheDir, 'making-'))
  const flags = ['--no-fund', '--no-audit', '--ignore-scripts', '--loglevel=error']
  try {
    say('fetching Node 20, Node 22, Bun and Deno from npm')
    for (const [name, { spec }] of Object.entries(pins))
      await run(['npm', 'install', '--prefix', join(made, name), ...flags, spec])
    await rename(made, clientRuntimes.dir)
  } finally {
    await rm(made, { recursive: true, force: true })
  }
}
