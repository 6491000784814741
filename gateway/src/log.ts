import { pino, type DestinationStream, type Logger } from 'pino'
import { safeJson } from '#api/visible-text.ts'

export type { Logger }

/** The operator's log: JSON lines, a fixed phrase each, facts as fields. Secrets never get this far, or are hidden here. */
export function openLog(level: string, to?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    hooks: { streamWrite: safeJson },
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
