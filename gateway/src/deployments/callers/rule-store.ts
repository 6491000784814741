import type { Rule } from '#api/callers/rule.ts'

/** Keeps the rules that were made by the API. Every method is atomic. */
export interface RuleStore {
  /** In the order in which they were made. */
  list(): Promise<Rule[]>
  /** False: there is one of that name. */
  add(rule: Rule): Promise<boolean>
  /** Also forgets its last use. False: there is none of that name. */
  remove(name: string): Promise<boolean>
  /** When each rule was last used, by its name; also those of the settings. */
  uses(): Promise<Map<string, string>>
  noteUses(uses: { name: string; at: string }[]): Promise<void>
}
