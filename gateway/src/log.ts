import { pino, type DestinationStream, type Logger } from 'pino'
import { safeJson } from '#api/text/visible-text.ts'

export type { Logger }

/**
 * The operator's log: JSON lines, each with a fixed phrase and its facts as fields.
 * Callers pass no secrets. As a second guard, `redact` removes fields that may hold one.
 */
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
