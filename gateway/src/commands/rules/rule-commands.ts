import type { AddedRule, ListedRule, NewRule } from '#api/callers/rule.ts'
import type { Principal } from '../../callers/principal.ts'

/** The rules for callers without a secret of the gateway. A change holds for the next request. */
export type RuleCommands = {
  list(caller: Principal): Promise<readonly ListedRule[]>
  /** Throws `rule-exists`. */
  add(caller: Principal, rule: NewRule): Promise<AddedRule>
  /** Throws `rule-not-found`, or `rule-fixed` for a rule of the settings. */
  remove(caller: Principal, name: string): Promise<void>
}
