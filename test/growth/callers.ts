import { githubIssuer } from '../../api/callers/issuers.ts'
import { readAddress, registryHost } from '../../api/registries/address.ts'
import { readNewRegistry, readRotation } from '../../api/registries/registry.ts'
import { readRule, type Rule } from '../../api/callers/rule.ts'
import { oidcTokens } from '../../gateway/src/callers/oidc/oidc-tokens.ts'
import { proxiedCallers } from '../../gateway/src/callers/proxies/proxied-callers.ts'
import { lastOf, plainAddress } from '../../gateway/src/callers/proxies/trusted-proxies.ts'
import { hostileTexts, listed, type Shapes } from './growth.ts'

const given = {
  name: 'ci',
  issuer: githubIssuer,
  aud: 'a',
  claims: { repository: 'a/b' },
  scopes: ['read'],
  apps: null,
}
const rule: Rule = { ...readRule(given), origin: 'settings', createdAt: null, createdBy: null }
const rules = { all: () => [rule] }

const login = { address: 'ghcr.io', username: 'a', password: 'b' }

const byToken = oidcTokens({ rules, keys: { find: async () => null } })
const ask = (bearer: string) => byToken({ bearer, headers: {}, address: '127.0.0.1' })
const byProxy = proxiedCallers({
  rules,
  isTrusted: () => true,
  hasProxies: true,
  machineAt: async () => null,
})
const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
const head = part({ alg: 'RS256', kid: 'a' })

// A request has at most 16 KiB of headers. Their parsers are linear without that limit.
export const callers: Record<string, Shapes> = {
  'gateway/src/callers/oidc/oidc-tokens.ts › oidcTokens': {
    ...hostileTexts(ask),
    ...hostileTexts(ask, (text) => `${head}.${text}.a`),
    ...hostileTexts(ask, (text) => `${head}.${part({ iss: githubIssuer, text })}.a`),
  },
  'gateway/src/callers/proxies/proxied-callers.ts › proxiedCallers': {
    ...hostileTexts((text) =>
      byProxy({ bearer: null, headers: { 'tailscale-user-login': text }, address: text }),
    ),
    ...hostileTexts((text) =>
      byProxy({ bearer: null, headers: { 'fly-client-ip': `fdaa:${text}` }, address: text }),
    ),
  },
  'gateway/src/callers/proxies/trusted-proxies.ts › plainAddress': hostileTexts(plainAddress),
  'gateway/src/callers/proxies/trusted-proxies.ts › lastOf': hostileTexts(lastOf),
  'api/registries/address.ts › readAddress': {
    ...hostileTexts(readAddress),
    ...hostileTexts((text) => readAddress(`ghcr.io/${text}`)),
  },
  'api/registries/address.ts › registryHost': hostileTexts(registryHost),
  'api/registries/registry.ts › readNewRegistry': {
    ...hostileTexts((text) => readNewRegistry({ ...login, username: text })),
    ...hostileTexts((text) => readNewRegistry({ ...login, password: text })),
  },
  'api/registries/registry.ts › readRotation': hostileTexts((text) =>
    readRotation({ username: text, password: text }),
  ),
  'api/callers/rule.ts › readRule': {
    ...hostileTexts((text) => readRule({ ...given, name: text, apps: [text] })),
    ...hostileTexts((text) => readRule({ ...given, issuer: text })),
    ...hostileTexts((text) => readRule({ ...given, claims: { repository: text } })),
    'many claims': (size) => {
      const claims = Object.fromEntries(listed(size, 12, (at) => [`a${at}`, 'b']))
      return () => readRule({ ...given, claims })
    },
  },
}
