import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Problem } from '#api/problem.ts'
import type { TrailState, TrailVerdict } from '#api/callers/audit-status.ts'
import { databaseIn } from '../backup.ts'
import { inspect, newestVersion, versionOf } from '../open-database.ts'
import { AuditRows } from './audit-rows.ts'
import { ChainKey } from './chain.ts'
import { ChainCheck } from './chain-check.ts'
import { headFileIn, readHead } from './head-file.ts'
import { checkRows } from './trail.ts'

/** The exit codes of `tarmac-gateway verify-audit`. 1: it could not be checked; 2: a wrong use. */
export const trailExitCodes: Record<TrailState, number> = {
  whole: 0,
  broken: 3,
  cut: 4,
  headless: 5,
}

/**
 * Checks the audit trail of a volume, also while a gateway works on it. Changes nothing. Throws
 * `database-unusable` if there is none to check.
 */
export async function verifyVolume(dir: string): Promise<TrailVerdict> {
  const path = databaseIn(dir)
  if (!existsSync(path)) throw new Problem('database-unusable', `There are no records in ${dir}.`)
  inspect(path)
  if (versionOf(path) < newestVersion())
    throw new Problem(
      'database-unusable',
      `The records in ${dir} are of an older gateway. Start this gateway once: it updates them.`,
    )
  const key = new ChainKey(readKey(join(dir, 'key')))
  const check = new ChainCheck(key, readHead(headFileIn(dir), key)) // before the rows
  using db = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
  return await checkRows(new AuditRows(db), check, new AbortController().signal)
}

/** For people: the verdict, what it rests on, and what to do. */
export function verdictText({ state, detail, notes }: TrailVerdict): string {
  const title = {
    whole: 'The audit trail is whole.',
    broken: 'The audit trail is broken.',
    cut: 'The audit trail was cut: its newest entries were removed.',
    headless: 'The audit trail may be cut: its head file is or was missing.',
  }[state]
  const next =
    state === 'whole'
      ? []
      : [
          'Only somebody who can write on the volume can do this, or damage of the disk. Compare with a backup (tarmac backup), with the numbers that the gateway logs at each start ("audit trail: newest entry"), and keep the volume as it is until then.',
        ]
  return [title, detail, ...notes, ...next].join('\n')
}

function readKey(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (cause) {
    const detail = `The key of the volume (${path}) cannot be read, and without it no entry can be checked. Run this as root or as the gateway’s user, on the gateway’s machine.`
    throw new Problem('database-unusable', detail, { cause })
  }
}
