import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lockVolume } from '../../../gateway/src/store/volume-lock.ts'

const source = new URL('../../../gateway/src/store/volume-lock.ts', import.meta.url).href

/** Another process that holds a volume until it is killed. */
async function holder(dir: string) {
  const program = `import { lockVolume } from '${source}'
    globalThis.held = lockVolume(${JSON.stringify(dir)}); console.log('held'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return child
}

test('a volume has one gateway; another one learns the holder, and gets the volume at once when the holder is killed', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-store-'))
  const first = await holder(dir)
  expect(() => lockVolume(dir)).toThrow(
    expect.objectContaining({
      code: 'volume-locked',
      message: expect.stringMatching(`locked by process ${first.pid} on ${hostname()} since 20`),
    }),
  )

  first.kill('SIGKILL')
  await once(first, 'exit')
  lockVolume(dir)[Symbol.dispose]()
  const next = await holder(dir)
  expect(() => lockVolume(dir)).toThrow(`process ${next.pid}`)
  next.kill('SIGKILL')
  await once(next, 'exit')
}, 60_000)

test('a volume is also locked against the same process, until it is released', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-store-'))
  {
    using _held = lockVolume(dir)
    expect(() => lockVolume(dir)).toThrow(`process ${process.pid}`)
  }
  lockVolume(dir)[Symbol.dispose]()
})
