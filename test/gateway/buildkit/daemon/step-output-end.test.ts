import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runcWithOutputLimit } from '../../../../gateway/src/buildkit/daemon/step-output.ts'

const step = `#!/usr/bin/perl
syswrite STDOUT, 'x' x 2000 . "\\n";
for (1 .. 10000) { syswrite STDOUT, 'a'; syswrite STDERR, 'b'; select undef, undef, undef, 0.00001 }
`

// With a pause at each change, 20,000 bytes take 20 s or more. A whole tail of 256 KiB takes 9
// minutes. The step cannot end in that time, even when its build was cancelled.
test('what a step has printed is given within seconds of its end, also when its streams take turns', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-late-'))
  writeFileSync(join(dir, 'runc'), step)
  chmodSync(join(dir, 'runc'), 0o755)
  const env = {
    PATH: `${dir}:${process.env['PATH']}`,
    TARMAC_STEP_OUTPUT_HEAD: '1000',
    TARMAC_STEP_OUTPUT_TAIL: '262144',
    TARMAC_STEP_OUTPUT_KEY: 'a1',
  }
  const child = spawn(runcWithOutputLimit, ['run', 'x'], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  child.stdout.resume()
  child.stderr.resume()
  await once(child, 'exit')
  const endedAt = performance.now()
  const closed = once(child, 'close').then(() => performance.now() - endedAt)
  const late = new Promise<number>((resolve) => setTimeout(() => resolve(Infinity), 5000))
  const tookMs = await Promise.race([closed, late])
  spawnSync('kill', ['-9', '--', `-${child.pid}`])
  rmSync(dir, { recursive: true })
  expect(tookMs).toBeLessThan(3000)
}, 60_000)
