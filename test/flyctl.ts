/** A real flyctl, if there is one on PATH, that speaks only to a localfly. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const nowhere = 'http://127.0.0.1:1'
/** Turns off flyctl's other requests, or sends them nowhere. */
const quiet = {
  PATH: process.env['PATH'],
  FLY_METRICS_BASE_URL: nowhere,
  FLY_SYNTHETICS_BASE_URL: nowhere,
  FLY_TRACE_COLLECTOR_URL: '127.0.0.1',
  FLY_SEND_METRICS: '0',
  FLY_SYNTHETICS_AGENT: '0',
  FLY_NO_UPDATE_CHECK: '1',
  FLY_NO_INCIDENTS_CHECK: '1',
  HTTPS_PROXY: nowhere,
  NO_PROXY: '127.0.0.1,localhost',
  CI: '1',
}

export const hasFlyctl = (() => {
  try {
    return execFileSync('flyctl', ['version'], {
      env: { ...quiet, HOME: tmpdir() },
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
  const env = { ...quiet, ...urls, HOME: cwd, FLY_CONFIG_DIR: cwd, FLY_ACCESS_TOKEN: token }
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
