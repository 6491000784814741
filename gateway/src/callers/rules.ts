import type { ListedRule, NewRule, Rule } from '#api/callers/rule.ts'
import { isNamedBy } from '#api/callers/named-by.ts'
import { Problem } from '#api/problem.ts'
import type { RuleStore } from '../deployments/callers/rule-store.ts'
import type { Logger } from '../log.ts'
import type { Principal, Proof } from './principal.ts'

const mostRules = 500
/** Between two writes of last uses. */
const usesMs = 60_000

type RuleParts = { store: RuleStore; log: Pick<Logger, 'warn'> | null }

/**
 * The rules for callers without a secret of the gateway: those of the settings first, then the
 * stored ones in the order in which they were made. They are in memory, because each request asks.
 */
export class Rules {
  readonly #store: RuleStore
  readonly #fixed: readonly Rule[]
  #stored: readonly Rule[]
  /** When each rule was last used, by its name. */
  readonly #uses: Map<string, string>
  /** Uses that are not written yet. */
  readonly #fresh = new Set<string>()
  #usesTimer: NodeJS.Timeout | undefined
  readonly #log: Pick<Logger, 'warn'> | null

  private constructor(
    { store, log }: RuleParts,
    fixed: readonly Rule[],
    stored: readonly Rule[],
    uses: Map<string, string>,
  ) {
    this.#store = store
    this.#log = log
    this.#fixed = fixed
    this.#stored = stored
    this.#uses = uses
    for (const rule of this.all()) this.#watch(rule)
  }

  static async open(
    store: RuleStore,
    fixed: readonly NewRule[],
    log: Pick<Logger, 'warn'> | null = null,
  ): Promise<Rules> {
    const ofSettings = { origin: 'settings', createdAt: null, createdBy: null } as const
    const rules = fixed.map((rule): Rule => ({ ...rule, ...ofSettings }))
    return new Rules({ store, log }, rules, await store.list(), await store.uses())
  }

  all(): readonly Rule[] {
    return [...this.#fixed, ...this.#stored]
  }

  async list(_caller: Principal): Promise<readonly ListedRule[]> {
    return this.all().map((rule) => ({ ...rule, lastUsedAt: this.#uses.get(rule.name) ?? null }))
  }

  /** Throws `rule-exists`, or `rule-invalid` when there are too many. */
  async add({ name: createdBy }: Principal, given: NewRule): Promise<Rule> {
    const createdAt = new Date().toISOString()
    const rule: Rule = { ...given, origin: 'stored', createdAt, createdBy }
    if (this.all().length >= mostRules)
      throw new Problem('rule-invalid', `The gateway keeps at most ${mostRules} rules.`)
    const isKnown = this.#fixed.some(({ name }) => name === rule.name)
    if (isKnown || !(await this.#store.add(rule))) {
      const detail = `There is a rule ${rule.name} already. Remove it first (tarmac rule remove ${rule.name}), or give the new one another name.`
      throw new Problem('rule-exists', detail)
    }
    this.#stored = [...this.#stored, rule]
    this.#watch(rule)
    return rule
  }

  /** Holds for the next request. Throws `rule-not-found`, or `rule-fixed` for one of the settings. */
  async remove(_caller: Principal, name: string): Promise<void> {
    if (this.#fixed.some((rule) => rule.name === name)) {
      const detail = `The rule ${name} is in the gateway’s setting TARMAC_OIDC_RULES. Remove it there, and restart the gateway.`
      throw new Problem('rule-fixed', detail)
    }
    if (!(await this.#store.remove(name)))
      throw new Problem('rule-not-found', `There is no rule ${name.slice(0, 100)}.`)
    const removed = this.#stored.find((rule) => rule.name === name)
    this.#stored = this.#stored.filter((rule) => rule !== removed)
    if (removed) watchers.delete(removed)
    if (removed) ends.get(removed)?.abort()
    this.#uses.delete(name)
    this.#fresh.delete(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#usesTimer)
    await this.#writeUses()
  }

  /** Notes each use of the rule. */
  #watch(rule: Rule): void {
    watchers.set(rule, () => {
      this.#uses.set(rule.name, new Date().toISOString())
      this.#fresh.add(rule.name)
      this.#usesTimer ??= setTimeout(() => void this.#writeUses(), usesMs).unref()
    })
  }

  async #writeUses(): Promise<void> {
    this.#usesTimer = undefined
    const uses = [...this.#fresh].map((name) => ({ name, at: this.#uses.get(name) ?? '' }))
    this.#fresh.clear()
    if (uses.length === 0) return
    await this.#store
      .noteUses(uses)
      .catch((err: unknown) => this.#log?.warn({ err }, 'last use of rules not written'))
  }
}

/** Whether these claims have what a rule wants. Only texts, numbers and booleans match. */
export const matches = (rule: Pick<Rule, 'claims'>, claims: Record<string, unknown>): boolean =>
  Object.entries(rule.claims).every(([name, patterns]) => {
    const value = textOf(claims[name])
    return value !== null && patterns.some((pattern) => isNamedBy(pattern, value))
  })

/** What a rule gives to its caller, which is a use of the rule. */
export function rightsOf(rule: Rule) {
  watchers.get(rule)?.()
  const { scopes, apps, owners, team } = rule
  const teams = team === null ? null : [team]
  return { scopes, apps, owners, teams, proof: proofBy(rule), rule: rule.name }
}

/** Called at each use of a rule. */
const watchers = new WeakMap<Rule, () => void>()

/** Fires for the requests that still run when their rule is removed. */
const ends = new WeakMap<Rule, AbortController>()

function proofBy(rule: Rule): Proof {
  const end = ends.get(rule) ?? new AbortController()
  ends.set(rule, end)
  return {
    assertHolds() {
      if (!end.signal.aborted) return
      const detail = `The rule ${rule.name}, which allowed this request, was removed meanwhile.`
      throw new Problem('unauthorized', detail)
    },
    ended: () => end.signal,
  }
}

const textOf = (value: unknown): string | null =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : null
