import type { AuditTrail } from '../../deployments/audit/audit-trail.ts'
import type { Logger } from '../../log.ts'
import { Redactor } from '../../secrets/redaction/redactor.ts'
import { openRecorder } from '../audit/recorder.ts'
import type { Commands } from '../commands.ts'
import { guarded, type GuardedCommands } from './guarded.ts'
import { type GateDeps, openGate } from './open-gate.ts'

type Parts = Omit<GateDeps, 'recorder'> & {
  trail: AuditTrail
  log: Pick<Logger, 'error'>
  /** The gateway's own secrets. */
  secrets: { tokens: string[]; fly: string }
}

/** The commands behind their gate: each caller's right is checked, and each change recorded. */
export function openGuarded(
  commands: Commands,
  { trail, log, secrets, ...gate }: Parts,
): GuardedCommands {
  const redactor = new Redactor([...secrets.tokens, secrets.fly])
  const recorder = openRecorder({ trail, log, redact: (value) => redactor.redact(value) })
  return guarded(commands, openGate({ ...gate, recorder }))
}
