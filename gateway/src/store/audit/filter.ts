import type { AuditEntry, AuditFilter } from '#api/callers/audit.ts'
import { isNamedBy } from '#api/callers/named-by.ts'
import type { PageRequest } from '../../deployments/release-store.ts'
import type { ChainRow } from './chain.ts'
import { readBody } from './chain-check.ts'

/**
 * A row as readers see it. Null: the beginning of a call that has ended, whose other entry says all.
 * A damaged row is shown as one: the check says more.
 */
export function toEntry(row: ChainRow, isOpen: (number: number) => boolean): AuditEntry | null {
  const { number, at } = row
  const body = readBody(row)
  if (!body) return { number, at, ...damaged }
  if (body.kind === 'began') return isOpen(number) ? { ...publicOf(body), number, at } : null
  return { ...publicOf(body), number, at }
}

const publicOf = ({
  command,
  caller,
  targets,
  asked,
  before,
  after,
  result,
  made,
  beganAt,
}: Omit<AuditEntry, 'number' | 'at'>) => ({
  beganAt,
  command,
  caller,
  targets,
  asked,
  before,
  after,
  result,
  made,
})

const damaged: Omit<AuditEntry, 'number' | 'at'> = {
  beganAt: null,
  command: 'audit.damaged',
  caller: { name: 'gateway', kind: 'gateway', tokenId: null, address: null },
  targets: [],
  asked: null,
  before: null,
  after: null,
  result: 'unknown',
  made: null,
}

/** Whether a filter shows an entry. */
export function shows({ from, to, caller, command, app, result }: AuditFilter, entry: AuditEntry) {
  return (
    (from === undefined || entry.at >= from) &&
    (to === undefined || entry.at <= to) &&
    (caller === undefined || isNamedBy(caller, entry.caller.name)) &&
    (command === undefined || entry.command === command) &&
    (app === undefined || entry.targets.some((target) => target.app === app)) &&
    (result === undefined || isResult(result, entry.result))
  )
}

/** Whether a page that shows some targets alone shows an entry. */
export const isOpen = ({ targets }: AuditEntry, isSeen: PageRequest['isSeen']): boolean =>
  !isSeen || (targets.length > 0 && targets.every((target) => isSeen(target)))

const isResult = (wanted: string, result: string) =>
  wanted === 'failed' ? result !== 'ok' && result !== 'running' : result === wanted
