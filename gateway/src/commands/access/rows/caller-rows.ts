import type { RuleCommands } from '../../rules/rule-commands.ts'
import type { SessionCommands } from '../../sessions/session-commands.ts'
import type { TokenCommands } from '../../tokens/token-commands.ts'
import {
  ofNewLink,
  ofNewRule,
  ofNewToken,
  ofRemovedRule,
  ofRevoked,
  ofRotated,
} from '../recorded.ts'
import { administer, byTarget, deploy } from '../row-kinds.ts'
import type { TableOf } from '../row.ts'

/**
 * What each command about tokens needs of its caller. What it may make and see of them depends on
 * its own limits: see `Tokens`.
 */
export const tokenRows: TableOf<TokenCommands> = {
  create: { ...administer, targets: () => [], recorded: ofNewToken },
  createLink: { ...deploy, ...byTarget, recorded: ofNewLink },
  find: { ...administer, changes: false, targets: () => [] },
  list: { ...administer, changes: false, targets: () => [] },
  revoke: { ...administer, targets: () => [], recorded: ofRevoked },
  rotate: { ...administer, targets: () => [], recorded: ofRotated },
}

/** What each command about rules needs of its caller. */
export const ruleRows: TableOf<RuleCommands> = {
  list: { ...administer, changes: false },
  add: { ...administer, recorded: ofNewRule },
  remove: { ...administer, recorded: ofRemovedRule },
}

const forAnyCaller = { scope: null, ofLink: () => true, targets: () => [] } as const

/** Whoever may call the gateway may log in. What a session may do, its token says. */
export const sessionRows: TableOf<SessionCommands> = {
  open: { ...forAnyCaller, changes: true, recorded: { made: () => null } },
  end: { ...forAnyCaller, changes: true },
  endAll: { ...forAnyCaller, changes: true },
}
