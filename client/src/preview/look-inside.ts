import { setTimeout as sleep } from 'node:timers/promises'
import { ExecAnswer, PreviewLogs } from '#api/previews/preview-calls.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { newLines } from '#api/text/new-lines.ts'
import { readAnswer } from '../answers.ts'
import type { Calling } from './preview-calls.ts'

const lookMs = 2000
/** How many lines a look takes, so that none is lost between two. */
const followedLines = 1000

type LogsRequest = { id: string; lines: number; follow: boolean }

/** Prints what the programs of a preview printed last, and with `follow` what they print from then on. */
export async function showLogs(
  { id, lines, follow }: LogsRequest,
  calling: Calling,
): Promise<number> {
  const { printer, signal } = calling
  const found = await readLines(id, follow ? followedLines : lines, calling)
  if (!follow) return printer.result({ lines: found }, found.map(lineText))

  print(found.slice(-lines), calling)
  let before = found.map(keyOf)
  for (;;) {
    await sleep(lookMs, undefined, { signal })
    const now = await readLines(id, followedLines, calling).catch(overOrThrow)
    if (now instanceof Problem) {
      printer.note(now.message)
      return printer.result({}, [])
    }
    const keys = now.map(keyOf)
    const fresh = newLines(before, keys).length
    print(fresh > 0 ? now.slice(-fresh) : [], calling)
    before = keys
  }
}

type Line = PreviewLogs['lines'][number]
const keyOf = (line: Line): string => JSON.stringify(line)
const lineText = ({ at, text }: Line): string =>
  at === null ? text : `${at.slice(11, 19)} ${text}`

const print = (lines: Line[], { printer }: Calling): void =>
  printer.output({ stdout: lines.map((line) => `${lineText(line)}\n`).join(''), stderr: '' }, lines)

function overOrThrow(error: unknown): Problem {
  if (error instanceof Problem && error.code === 'preview-over') return error
  throw error
}

async function readLines(id: string, lines: number, { gateway, signal }: Calling) {
  const path = `${fill(routes.previewLogs, { id })}?lines=${lines}`
  return readAnswer(PreviewLogs, await gateway.ask('GET', path, signal)).lines
}

type RunRequest = { id: string; command: string[]; timeoutSeconds: number }

/** Runs a command, prints what it printed, and returns its exit code: 128 and more after a signal. */
export async function runInPreview(
  { id, command, timeoutSeconds }: RunRequest,
  { gateway, printer, signal }: Calling,
): Promise<number> {
  const body = { command, timeoutSeconds }
  const path = fill(routes.execPreview, { id })
  const done = readAnswer(ExecAnswer, await gateway.ask('POST', path, signal, body))
  printer.output(done)
  for (const stream of done.truncated)
    printer.note(`the gateway left out the end of ${stream}: it takes 1 Mi characters of it`)
  const code = done.signal === null ? done.exitCode : 128 + done.signal
  return printer.result({ exec: done }, [], code)
}
