import { pino, type DestinationStream, type Logger } from 'pino'
import { safeJson } from '#api/text/visible-text.ts'

export type { Logger }

const recentLimits = { lines: 500, bytes: 512 * 1024 }
const recent: string[] = []
let recentBytes = 0

/** The last lines of the operator's log, for a support file. They are not redacted yet. */
export const recentLines = (): readonly string[] => recent

/**
 * The operator's log: JSON lines, each with a fixed phrase and its facts as fields.
 * Callers pass no secrets. As a second guard, `redact` removes fields that may hold one, and `clean`
 * may change each line.
 */
export function openLog(
  level: string,
  to?: DestinationStream,
  clean: (line: string) => string = (line) => line,
): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    hooks: { streamWrite: (line: string) => keepRecent(safeJson(clean(line))) },
    redact: [
      '*.authorization',
      '*.cookie',
      '*.token',
      'token',
      'authorization',
      '*.env',
      '*.secret',
    ],
  }
  return to ? pino(options, to) : pino(options)
}

function keepRecent(line: string): string {
  recent.push(line)
  recentBytes += line.length
  while (recent.length > recentLimits.lines || recentBytes > recentLimits.bytes)
    recentBytes -= recent.shift()!.length
  return line
}
