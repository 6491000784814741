/** A real flyctl, if there is one on PATH, that speaks only to a localfly. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { quietFlyctl } from '../lab/quiet-flyctl.ts'

export const hasFlyctl = (() => {
  try {
    return execFileSync('flyctl', ['version'], {
      env: { ...quietFlyctl, HOME: tmpdir() },
      encoding: 'utf8',
    }).startsWith('fly')
  } catch {
    console.log('flyctl is not on PATH: what it makes of localfly is not tried')
    return false
  }
})()

/** Runs flyctl's commands. In a command, `\ ` is a space. */
export function flyctlAt(url: string, token: string) {
  const cwd = mkdtempSync(join(tmpdir(), 'flyctl-'))
  const urls = { FLY_FLAPS_BASE_URL: url, FLY_API_BASE_URL: url, FLY_UIEX_BASE_URL: url }
  const env = { ...quietFlyctl, ...urls, HOME: cwd, FLY_CONFIG_DIR: cwd, FLY_ACCESS_TOKEN: token }
  const run = async (command: string): Promise<string> => {
    const words = command.match(/(?:\\ |\S)+/g)!.map((word) => word.replaceAll('\\ ', ' '))
    return (await promisify(execFile)('flyctl', words, { env, cwd, timeout: 150_000 })).stdout
  }
  /** Ends the agent that a command may have started, and removes flyctl's folder. */
  const end = async () => {
    await run('agent stop').catch(() => {})
    rmSync(cwd, { recursive: true, force: true })
  }
  return { run, cwd, end }
}
