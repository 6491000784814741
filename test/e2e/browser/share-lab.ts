/** Starts one lab and one browser for all files of browser tests, in the process that runs them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import type { TestProject } from 'vitest/node'
import { freePort } from '../../../lab/parts/ports.ts'
import { startLab } from '../../../lab/start-lab.ts'
import type { LabAddresses } from '../lab-actions.ts'
import { leftOf, recordTraces } from '../left-over.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    lab: LabAddresses & { flyControl: string }
    browser: string
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-browser-'))
  const lab = await startLab({
    dir,
    port: await freePort(20_000 + 20 * (process.pid % 500)),
    settings: { TARMAC_WATCH: '1', TARMAC_MACHINE_TIMEOUT: '20', TARMAC_DRAIN: '0' },
  })
  // Debian's Chromium: it is on the machine, and gets Debian's updates.
  const browser = await chromium.launchServer({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox'], // CI runs as root, for which Chromium has no sandbox
  })
  const { gateway, token, flyApi, flyToken, apps, flyControl } = lab
  project.provide('lab', { gateway, token, flyApi, flyToken, apps, dir, flyControl })
  project.provide('browser', browser.wsEndpoint())
  return async () => {
    await browser.close()
    const traces = await recordTraces(dir)
    await lab[Symbol.asyncDispose]()
    const left = await leftOf(traces)
    if (left.length > 0) throw new Error(`The lab has left: ${left.join('\n')}`)
    await rm(dir, { recursive: true })
  }
}
