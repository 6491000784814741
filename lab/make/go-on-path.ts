import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { go } from '../pins.ts'

const run = promisify(execFile)

/** Whether the Go on PATH is new enough by itself, without a toolchain that it would fetch. */
export async function goOnPath(): Promise<boolean> {
  const env = { ...process.env, GOTOOLCHAIN: 'local' }
  const version = await run('go', ['env', 'GOVERSION'], { cwd: '/', env }).catch(() => undefined)
  return version !== undefined && isAtLeast(version.stdout.trim().replace(/^go/, ''), go.atLeast)
}

function isAtLeast(version: string, wanted: string): boolean {
  return version.localeCompare(wanted, 'en', { numeric: true }) >= 0
}
