import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startEnv } from '../start-env.ts'

const main = join(import.meta.dirname, '../../gateway/src/main.ts')
const cwd = mkdtempSync(join(tmpdir(), 'tarmac-command-'))
const gateway = (...args: string[]) => {
  const env = { ...startEnv, TARMAC_DATA: join(cwd, 'data') }
  return spawnSync(process.execPath, [main, ...args], { cwd, env, encoding: 'utf8' })
}

test(
  'tarmac-gateway prints its help and its version where it is asked for them',
  { timeout: 60_000 },
  () => {
    for (const words of [['--help'], ['help'], ['backup', '--help'], ['doctor', '-h']])
      expect(gateway(...words)).toMatchObject({
        status: 0,
        stderr: '',
        stdout: expect.stringContaining('tarmac-gateway restore FILE'),
      })
    expect(gateway('--version')).toMatchObject({ status: 0, stdout: '0.1.0\n' })
    const unknown = gateway('verify')
    expect(unknown).toMatchObject({ status: 2, stdout: '' })
    expect(unknown.stderr).toMatch(/^tarmac-gateway verify: there is no such command\.\n/)
  },
)

test(
  'tarmac-gateway takes no option for a file, and fails in one line',
  { timeout: 60_000 },
  () => {
    expect(gateway('backup', '--force')).toMatchObject({ status: 2 })
    expect(existsSync(join(cwd, '--force'))).toBe(false)
    const failed = gateway('status')
    expect(failed.status).toBe(1)
    expect(failed.stderr).not.toContain('    at ')
  },
)
