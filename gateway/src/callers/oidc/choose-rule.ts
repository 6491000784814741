import type { Rule } from '#api/callers/rule.ts'
import { Problem } from '#api/problem.ts'
import { matches } from '../rules.ts'

/** How far the clocks of an issuer and of the gateway may differ, in seconds. */
const skewSeconds = 60

type Claims = Record<string, unknown>

/**
 * The first rule that a token with a proven signature has the right to. Throws a Problem for its
 * holder: what is wrong with the token. It never shows what rules want. `now`: milliseconds since 1970.
 */
export function chooseRule(ofIssuer: readonly Rule[], claims: Claims, now: number): Rule {
  const aud = onlyOne(claims['aud'])
  const forUs = ofIssuer.filter((rule) => rule.aud === aud)
  if (forUs.length === 0) throw wrongAud(claims['aud'])

  const lifeSeconds = lifeOf(claims, now / 1000)
  const rule = forUs.find((each) => matches(each, claims))
  if (!rule) throw noRule(claims)
  if (lifeSeconds > rule.maxSeconds) throw tooLong(lifeSeconds, rule.maxSeconds)
  return rule
}

/** A token for several audiences may be used against us by any other of them. */
function onlyOne(aud: unknown): unknown {
  return Array.isArray(aud) && aud.length === 1 ? aud[0] : aud
}

/** Seconds from issue to expiry. Throws `oidc-expired` or `oidc-clock`. */
function lifeOf({ exp, iat, nbf = iat }: Claims, nowSeconds: number): number {
  if (!isTime(exp) || !isTime(iat) || !isTime(nbf))
    throw new Problem(
      'oidc-expired',
      'The OIDC token does not say how long it is valid (exp, iat).',
    )
  if (exp + skewSeconds <= nowSeconds)
    throw new Problem(
      'oidc-expired',
      `The OIDC token expired at ${textOf(exp)}; the gateway’s clock says ${textOf(nowSeconds)}. Get a new token of the same job or machine and send it again.`,
    )
  const from = Math.max(iat, nbf)
  if (from - skewSeconds > nowSeconds)
    throw new Problem(
      'oidc-clock',
      `The OIDC token is valid from ${textOf(from)}, but the gateway’s clock says ${textOf(nowSeconds)}: one of the two clocks is wrong by more than ${skewSeconds} s. The gateway’s operator can check with tarmac doctor.`,
    )
  return exp - iat
}

const isTime = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value < 1e11
const textOf = (seconds: number) => new Date(Math.floor(seconds) * 1000).toISOString()

const wrongAud = (aud: unknown) =>
  new Problem(
    'oidc-wrong-audience',
    `The OIDC token is for the audience ${shown(aud)}, and no rule for its issuer accepts that one. Request a token for the audience of the rule (tarmac rule list), which is mostly the gateway’s address. The client takes it from TARMAC_AUDIENCE, else from TARMAC_GATEWAY.`,
  )

const tooLong = (lifeSeconds: number, maxSeconds: number) =>
  new Problem(
    'oidc-too-long',
    `The OIDC token lives ${lifeSeconds} s, and its rule allows ${maxSeconds} s. Use a job with a shorter timeout, or make the rule again with --max-life ${lifeSeconds}.`,
    { facts: { lifeSeconds, maxSeconds } },
  )

/** The claims of the providers that people make rules with. The caller knows them: it has the token. */
const usualClaims = [
  'repository',
  'ref',
  'event_name',
  'environment',
  'project_path',
  'ref_path',
  'pipeline_source',
  'org_name',
  'app_name',
  'sub',
]

function noRule(claims: Claims): Problem {
  const said = usualClaims
    .filter((name) => claims[name] !== undefined)
    .map((name) => `${name} ${shown(claims[name])}`)
  return new Problem(
    'oidc-no-rule',
    `The OIDC token is genuine, but no rule of this gateway is for it. It says: ${said.join(', ') || 'nothing about its job'}. An administrator can add a rule: tarmac rule add.`,
  )
}

const shown = (value: unknown): string => JSON.stringify(value ?? null).slice(0, 200)
