import type { SessionStore } from '../deployments/callers/session-store.ts'
import type { TokenStore } from '../deployments/callers/token-store.ts'
import type { TeamStore } from '../deployments/teams/team-store.ts'
import type { Logger } from '../log.ts'
import { type Authenticator, firstOf, operatorTokens } from './authenticate.ts'
import { openOutsideCallers, type OutsideParts, type OutsideSettings } from './outside-callers.ts'
import { Sessions } from './sessions/sessions.ts'
import { TokenTable } from './tokens/token-table.ts'
import { Tokens } from './tokens/tokens.ts'

type Settings = OutsideSettings & { secrets: { tokens: readonly string[] } }
type Parts = OutsideParts & {
  store: { tokens: TokenStore; sessions: SessionStore; teams: TeamStore }
  log: Logger
}

/**
 * Everything that proves callers. If the settings know none, the gateway serves loopback alone, and
 * every caller is the operator: then there is no `authenticate`.
 */
export async function openCallers(settings: Settings, parts: Parts) {
  const { secrets, oidcRules, trustedProxies } = settings
  const { store, log } = parts
  const { rules, authenticators, sourceOf } = await openOutsideCallers(settings, parts)
  const table = await TokenTable.open({ store: store.tokens, log })

  const isOpen = secrets.tokens.length + oidcRules.length + trustedProxies.length === 0
  const all = [operatorTokens(secrets.tokens), table.authenticate, ...authenticators]
  const authenticate: Authenticator | null = isOpen ? null : firstOf(all)
  if (isOpen && table.all().length > 0)
    log.warn(
      'tokens are stored, and no request needs one: without TARMAC_TOKENS every program on this computer is the operator',
    )
  return {
    authenticate,
    sourceOf,
    rules,
    tokens: new Tokens(table, store.teams),
    sessions: new Sessions({ store: store.sessions }),
    async [Symbol.asyncDispose]() {
      await table[Symbol.asyncDispose]()
      await rules[Symbol.asyncDispose]()
    },
  }
}
