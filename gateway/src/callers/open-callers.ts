import { type Authenticator, firstOf, operatorTokens } from './authenticate.ts'
import { openOutsideCallers, type OutsideParts, type OutsideSettings } from './outside-callers.ts'

/**
 * Everything that proves callers. If the settings know none, the gateway serves loopback alone, and
 * every caller is the operator: then there is no `authenticate`.
 */
export async function openCallers(
  settings: OutsideSettings & { secrets: { tokens: readonly string[] } },
  parts: OutsideParts,
) {
  const { secrets, oidcRules, trustedProxies } = settings
  const { rules, authenticators } = await openOutsideCallers(settings, parts)
  const isOpen = secrets.tokens.length + oidcRules.length + trustedProxies.length === 0
  const authenticate: Authenticator | null = isOpen
    ? null
    : firstOf([operatorTokens(secrets.tokens), ...authenticators])
  return { rules, authenticate }
}
