import { runChild } from './run-child.ts'

/**
 * The folders of the machine's own tools. It is the whole PATH of the programs that the gateway
 * starts.
 */
export const toolPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const timeoutMs = 10_000
const maxOutputBytes = 8 << 20

type More = { input?: string; timeoutMs?: number }

/** Returns what a tool of the machine prints. Null when the tool fails or is missing. */
export async function tool(name: string, ...args: string[]): Promise<string | null> {
  const { exitCode, stdout } = await run(name, args)
  return exitCode === 0 ? stdout : null
}

/** Runs a tool that must succeed. Throws with the tool's own output when it fails or is missing. */
export async function execTool(name: string, args: string[], more: More = {}): Promise<void> {
  const { exitCode, killedBy, stdout, stderr } = await run(name, args, more)
  if (exitCode === 0) return
  const reason = killedBy === null ? `exit code ${exitCode}` : `ended by ${killedBy}`
  throw new Error(`${[name, ...args].join(' ')}: ${reason}: ${(stderr || stdout).trim()}`)
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
