import type * as joseModule from 'jose'
import type { Rule } from '#api/callers/rule.ts'
import { isObject } from '#api/is-object.ts'
import type { Authenticator } from '../authenticate.ts'
import type { Principal } from '../principal.ts'
import { type Rules, rightsOf } from '../rules.ts'
import { chooseRule } from './choose-rule.ts'
import type { IssuerKeys } from './issuer-keys.ts'

/** Signatures by a private key alone: a shared secret (HS256) and `none` prove nothing here. */
const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA']

type Claims = Record<string, unknown>
type Jose = typeof joseModule

/**
 * Finds callers by the token of an OIDC issuer. Until the signature is proved, a caller learns nothing
 * but that its token was not accepted. `now`: milliseconds since 1970.
 */
export function oidcTokens({
  rules,
  keys,
  now = Date.now,
}: {
  rules: Pick<Rules, 'all'>
  keys: Pick<IssuerKeys, 'find'>
  now?: () => number
}): Authenticator {
  return async ({ bearer, address }) => {
    if (bearer?.split('.', 4).length !== 3) return null
    const jose = await import('jose') // most gateways never see such a token
    const issuer = issuerOf(bearer, jose)
    if (issuer === null) return null
    // Ask no issuer that the operator does not trust.
    const ofIssuer = rules.all().filter((rule) => rule.issuer === issuer)
    if (ofIssuer.length === 0) return null

    const claims = await provenClaims(bearer, issuer, { keys, jose })
    if (claims === null) return null
    const rule = chooseRule(ofIssuer, claims, now())
    // The rule accepts no token without a time of expiry.
    return { ...callerBy(rule, address), expiresAt: Number(claims['exp']) * 1000 }
  }
}

const callerBy = (rule: Rule, address: string): Principal => ({
  kind: 'oidc',
  name: rule.name,
  tokenId: null,
  ...rightsOf(rule),
  address,
})

/** The issuer that a token claims, of a token that names an algorithm and a key. Null: it is no JWT. */
function issuerOf(token: string, { decodeJwt, decodeProtectedHeader }: Jose): string | null {
  try {
    const { alg, kid } = decodeProtectedHeader(token)
    const { iss } = decodeJwt(token)
    const isUsable = alg !== undefined && algorithms.includes(alg) && kid !== undefined
    return isUsable && typeof iss === 'string' ? iss : null
  } catch {
    return null
  }
}

async function provenClaims(
  token: string,
  issuer: string,
  { keys, jose }: { keys: Pick<IssuerKeys, 'find'>; jose: Jose },
): Promise<Claims | null> {
  const key = await keys.find(issuer, { alg: '', ...jose.decodeProtectedHeader(token) })
  if (!key) return null
  try {
    const { payload } = await jose.compactVerify(token, key, { algorithms })
    const claims: unknown = JSON.parse(new TextDecoder().decode(payload))
    return isObject(claims) && claims['iss'] === issuer ? claims : null
  } catch {
    return null // jose has many errors: a key of the issuer may be too short, as a TypeError says
  }
}
