import { appendFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FlyState, Machine } from './state.ts'

const keptBytes = 1 << 20
const bootText = ' INFO Starting init (commit: localfly)...'

export type LogEntry = {
  timestamp: string
  message: string
  level: string
  instance: string
  region: string
}

/**
 * Writes what Fly's init prints before it starts the program, in podman's format. Source: logs in
 * public bug reports ("app[908027d3be7938] dfw [info] INFO Starting init (commit: a1a45272)...").
 */
export function writeBoot(file: string): void {
  const at = new Date().toISOString().replace('Z', '000000+00:00')
  appendFileSync(file, `${at} stdout F ${bootText}\n`)
}

/**
 * The output of a machine's programs, oldest first, over all its versions: the last 1 MiB of
 * podman's log file.
 */
export async function readLog(state: FlyState, { id, region, own }: Machine): Promise<LogEntry[]> {
  let text: string
  try {
    await using file = await open(state.folder('logs', id))
    const { size } = await file.stat()
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(keptBytes),
      0,
      keptBytes,
      Math.max(0, size - keptBytes),
    )
    text = buffer.toString('utf8', 0, bytesRead)
  } catch {
    return []
  }
  const entries: LogEntry[] = []
  let begun = ''
  let begunAt = ''
  const add = () => {
    const timestamp = begunAt.replace(/\+00:00$/, 'Z')
    const message = asFlysInit(begun, own.command ?? '')
    entries.push({ timestamp, message, level: 'info', instance: id, region })
    begun = ''
  }
  // "2026-11-23T12:00:00.123456789+00:00 stdout F text". P marks a part of a long line.
  for (const [, at, part, said] of text.matchAll(/^(\S+) std(?:out|err) ([FP]) (.*)$/gm)) {
    if (begun !== '' && said === bootText) add() // the last words before a restart
    begun += said
    begunAt = at!
    if (part === 'F') add()
  }
  // The last words of a program may lack a line feed.
  if (begun !== '') add()
  return entries
}

/**
 * Fly's init names the command that it could not start; the lab's init does not. Source:
 * github.com/fspoettel/linkding-on-fly/issues/9 (" ERROR Error: failed to spawn command:
 * /scripts/run.sh: No such file or directory (os error 2)").
 */
function asFlysInit(line: string, command: string): string {
  const [, words] = /^ERROR \(catatonit:\d+\): failed to exec pid1: (.*)$/.exec(line) ?? []
  if (words === undefined) return line
  return ` ERROR Error: failed to spawn command: ${command}: ${words}${osErrors[words] ?? ''}`
}
const osErrors: Record<string, string> = {
  'No such file or directory': ' (os error 2)',
  'Exec format error': ' (os error 8)',
  'Permission denied': ' (os error 13)',
}
