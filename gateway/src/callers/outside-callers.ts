import type { NewRule } from '#api/callers/rule.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { RuleStore } from '../deployments/callers/rule-store.ts'
import type { Logger } from '../log.ts'
import { IssuerKeys } from './oidc/issuer-keys.ts'
import { oidcTokens } from './oidc/oidc-tokens.ts'
import { PrivateAddresses } from './proxies/private-addresses.ts'
import { proxiedCallers } from './proxies/proxied-callers.ts'
import { sourceBehind, type TrustedProxy, trustedProxies } from './proxies/trusted-proxies.ts'
import { Rules } from './rules.ts'

export type OutsideSettings = {
  oidcRules: readonly NewRule[]
  trustedProxies: readonly TrustedProxy[]
  deployer: { org: string }
}
export type OutsideParts = {
  store: { rules: RuleStore }
  fly: Pick<MachinesApi, 'orgMachines'>
  log: Pick<Logger, 'warn'>
}

/**
 * The callers whose identity somebody else proves: an OIDC issuer or a proxy. Rules say what they
 * may do.
 */
export async function openOutsideCallers(
  { oidcRules, trustedProxies: proxies, deployer }: OutsideSettings,
  { store, fly, log }: OutsideParts,
) {
  const rules = await Rules.open(store.rules, oidcRules, log)
  const addresses = new PrivateAddresses({ fly, org: deployer.org })
  const isTrusted = trustedProxies(proxies)
  const machineAt = (address: string) => addresses.find(address)
  const hasProxies = proxies.length > 0
  return {
    rules,
    sourceOf: sourceBehind(isTrusted),
    authenticators: [
      oidcTokens({ rules, keys: new IssuerKeys({ log }) }),
      proxiedCallers({ rules, isTrusted, hasProxies, machineAt }),
    ],
  }
}
