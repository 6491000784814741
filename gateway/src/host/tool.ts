import { runChild } from './run-child.ts'

/** Where the machine's own tools are; the whole PATH of what we start. */
export const toolPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const timeoutMs = 10_000
const maxOutputBytes = 8 << 20

/** What a tool of the machine prints; null when it fails or is not there. */
export async function tool(name: string, ...args: string[]): Promise<string | null> {
  const child = { command: '/usr/bin/env', args: [name, ...args], env: { PATH: toolPath }, cwd: '/' }
  const { exitCode, stdout } = await runChild({ ...child, timeoutMs, maxOutputBytes }, new AbortController().signal)
  return exitCode === 0 ? stdout : null
}
