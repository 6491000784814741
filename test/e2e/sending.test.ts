import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startProxy } from '../client/start-proxy.ts'
import { pageApp, startTestLab } from './start.ts'

const main = join(import.meta.dirname, '../../client/src/main.ts')
const mib = 2 ** 20

test('a deploy survives a cut line and a killed gateway, and the next one sends only what changed', async () => {
  await using lab = await startTestLab()
  await using line = await startProxy(Number(new URL(lab.gateway).port))
  const folder = await lab.source(pageApp('the first'))
  await mkdir(join(folder, 'data'))
  for (let n = 0; n < 60; n++) await writeFile(join(folder, 'data', `${n}`), randomBytes(mib))
  const deploy = () => {
    const env = {
      PATH: process.env['PATH'],
      TARMAC_GATEWAY: line.url,
      TARMAC_TOKEN: lab.token,
      XDG_CACHE_HOME: join(lab.dir, 'client-cache'),
    }
    const child: ChildProcess = spawn(process.execPath, [main, 'deploy', 'sent'], {
      cwd: folder,
      env,
    })
    const run = { err: '', code: once(child, 'close').then(([code]) => code as number) }
    child.stderr!.on('data', (chunk: Buffer) => (run.err += chunk.toString()))
    return run
  }

  // The archive breaks in the middle. Then, in the middle of the packs, the gateway dies.
  line.cutAfter(10 * mib)
  const first = deploy()
  await expect.poll(() => first.err, { timeout: 60_000 }).toContain('Trying again')
  line.sentBytes = 0
  await expect.poll(() => line.sentBytes, { timeout: 60_000 }).toBeGreaterThan(10 * mib)
  lab.kill('gateway')
  await lab.start('gateway')
  expect(await first.code, first.err).toBe(0)
  expect(await lab.page('sent')).toBe('the first')

  await writeFile(join(folder, 'index.html'), 'the second')
  line.sentBytes = 0
  const second = deploy()
  expect(await second.code, second.err).toBe(0)
  expect(second.err).toMatch(/sent 1 of 62 files, .* of 62\.9 MB, .*; 61 files were there already/)
  // Also the calls that follow the deployment.
  expect(line.sentBytes).toBeLessThan(64 * 1024)
  expect(await lab.page('sent')).toBe('the second')
})
