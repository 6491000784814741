import type { Principal } from '../../callers/principal.ts'

/** Logins of the dashboard. They are commands, so the audit trail has each of them. */
export type SessionCommands = {
  /** `token`: the one that has just proved the caller. */
  open(caller: Principal, token: string): Promise<{ cookie: string; expiresAt: string }>
  end(caller: Principal, cookie: string): Promise<void>
  /** Ends all sessions of the caller, in every browser. */
  endAll(caller: Principal): Promise<void>
}
