import { isLimited, type Principal, sees, type Target } from '../../callers/principal.ts'

/**
 * Whether a caller sees a target, for the pages of a list. Absent: it sees all. What it does not see
 * must not count for a page, or the cursor would reveal it.
 */
export const seenBy = (
  caller: Principal,
  teams: { teamOf: (app: string) => string },
): ((target: Target) => boolean) | undefined =>
  isLimited(caller) ? (target) => sees(caller, target, (app) => teams.teamOf(app)) : undefined
