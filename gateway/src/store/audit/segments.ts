import type { Logger } from '../../log.ts'
import type { AuditRows } from './audit-rows.ts'
import type { Body, ChainKey, Head } from './chain.ts'
import { readBody } from './chain-check.ts'
import type { FoundHead } from './head-file.ts'

type Adding = { rows: AuditRows; key: ChainKey; at: string }
type Why = Extract<Body, { kind: 'segment' }>['why']

const byGateway = {
  caller: { name: 'gateway', kind: 'gateway', tokenId: null, address: null },
  targets: [],
  beganAt: null,
  before: null,
  after: null,
  result: 'ok',
  made: null,
} as const

/** Within a transaction: adds an entry that begins a segment, if one must begin. */
export function beginSegment(
  { rows, key, at }: Adding,
  found: FoundHead,
  log: Pick<Logger, 'warn' | 'error'>,
): void {
  const newest = rows.last()
  const last = newest && { number: newest.number, mac: newest.mac }
  const why = reasonFor(found, last)
  if (!why) return

  const head = found.kind === 'none' ? 0 : (found.head?.number ?? 0)
  const number = Math.max(head, last?.number ?? 0) + 1
  const earlier = found.kind === 'restored' ? { earlier: found.earlier } : {}
  const asked = { why, newest: last?.number ?? null, newestKnown: head || null, ...earlier }
  const foreign = rows.foreignSince(key.id)
  rows.add(
    {
      kind: 'segment',
      command: 'audit.segment',
      ...byGateway,
      targets: [],
      asked,
      why,
      last,
      foreign,
    },
    { key, at, number },
  )

  if (why === 'cut') log.error(asked, 'audit trail: the newest entries are missing')
  if (why === 'headless')
    log.error(asked, `audit trail: the head file ${'why' in found ? found.why : ''}`)
  if (why === 'restored') log.warn(asked, 'audit trail: a new segment begins after a restore')
}

/** Null: the trail goes on. */
function reasonFor(found: FoundHead, last: Head | null): Why | null {
  if (found.kind === 'restored') return 'restored'
  if (found.kind === 'none') return last ? 'headless' : 'first'
  return found.head.number > (last?.number ?? 0) ? 'cut' : null
}

/** Within a transaction: how calls ended that an earlier gateway left open cannot be said. */
export function endOpenCalls({ rows, key, at }: Adding): void {
  for (const row of rows.open()) {
    const body = readBody(row)
    if (body?.kind !== 'began') continue
    const { kind: _kind, ...call } = body
    const ended = { ...call, beganAt: row.at, opened: row.number, result: 'unknown' }
    rows.add({ kind: 'ended', ...ended }, { key, at })
  }
}

/** Says which entries the retention has removed. */
export const prunedBody = (last: Head): Body => ({
  kind: 'pruned',
  command: 'audit.pruned',
  ...byGateway,
  targets: [],
  asked: { upTo: last.number },
  last,
})
