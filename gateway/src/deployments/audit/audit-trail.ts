import type { AuditEntry, AuditFilter, AuditPage } from '#api/callers/audit.ts'
import type { PageRequest } from '../release-store.ts'

/** What is recorded of a call when it begins. */
export type BegunCall = Pick<AuditEntry, 'command' | 'caller' | 'targets' | 'asked'>
/** What is recorded of a call when it has ended. `began`: what `began` returned; null: refused before. */
export type EndedCall = BegunCall &
  Pick<AuditEntry, 'before' | 'after' | 'result' | 'made'> & {
    began: { number: number; at: string } | null
  }

/** Records who changed what. Entries are only added, and each resolves when it is synced to disk. */
export interface AuditTrail {
  began(call: BegunCall): Promise<{ number: number; at: string }>
  ended(call: EndedCall): Promise<void>
  /** Newest first. A page may be shorter than its limit, or empty, although there is a next one. */
  page(filter: AuditFilter, page: PageRequest): Promise<AuditPage>
}
