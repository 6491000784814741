import { runChild } from './run-child.ts'

/** Where the machine's own tools are; the whole PATH of what we start. */
export const toolPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const timeoutMs = 10_000
const maxOutputBytes = 8 << 20

type More = { input?: string; timeoutMs?: number }

/** What a tool of the machine prints; null when it fails or is not there. */
export async function tool(name: string, ...args: string[]): Promise<string | null> {
  const { exitCode, stdout } = await run(name, args)
  return exitCode === 0 ? stdout : null
}

/** Runs a tool that must succeed. Throws with the tool's own words when it fails or is not there. */
export async function execTool(name: string, args: string[], more: More = {}): Promise<void> {
  const { exitCode, killedBy, stdout, stderr } = await run(name, args, more)
  if (exitCode === 0) return
  const how = killedBy === null ? `exit code ${exitCode}` : `ended by ${killedBy}`
  throw new Error(`${[name, ...args].join(' ')}: ${how}: ${(stderr || stdout).trim()}`)
}

function run(name: string, args: string[], more: More = {}) {
  const child = {
    command: '/usr/bin/env',
    args: [name, ...args],
    env: { PATH: toolPath },
    cwd: '/',
  }
  return runChild({ ...child, timeoutMs, maxOutputBytes, ...more }, new AbortController().signal)
}
