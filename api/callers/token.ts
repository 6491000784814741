import { z } from 'zod'
import { AppName, OwnerName } from '../app.ts'
import { endOf, secondsOf, spanRule } from './lifetime.ts'
import { Scope } from './scope.ts'

export const tokenLimits = {
  /** All tokens that the gateway keeps, with those that ended a while ago. */
  count: 20_000,
  /** Deploy links of one caller that still work. */
  links: 100,
  /** Deploy links of one caller that the gateway keeps: so many in a day. */
  keptLinks: 1000,
  /** Names in each list of a token. */
  names: 100,
  /** Longest life of a deploy link, and shortest of any token, in seconds. */
  linkSeconds: 3600,
  leastSeconds: 60,
  /** Longest time for which the old secret works after a rotation, in seconds: a week. */
  overlapSeconds: 7 * 86_400,
} as const

/** Life of a token and of a deploy link that names none. */
export const usualLife = { token: '90d', link: '15m' } as const

/**
 * Finds tokens of a gateway in a text: the mark, an id of 12 letters, a secret of 43, and a checksum
 * of 6. docs/callers.md has the same expression for secret scanners.
 */
export const tokenPattern = /tmc_[0-9A-Za-z]{61}/

/** The id in the text of a token. Null: it is no token. */
export const tokenIdIn = (text: string): string | null =>
  /^tmc_([0-9A-Za-z]{12})[0-9A-Za-z]{49}$/.exec(text)?.[1] ?? null

const nameRule =
  'a token is named by 1 to 63 letters, digits, -, _ and ., beginning with a letter or digit'
const TokenName = z.string().regex(/^[A-Za-z0-9][\w.-]{0,62}$/, nameRule)

const ruleOfApps = 'an app is named as on Fly, or by a beginning of its name and *, like pr-*'
/** An app's name, or the beginning of names and `*`. */
const AppRule = z
  .string()
  .refine(
    (text) => AppName.safeParse(text).success || /^[a-z0-9][a-z0-9-]{0,61}\*$/.test(text),
    ruleOfApps,
  )

const namesOf = (each: z.ZodType<string>) => z.array(each).min(1).max(tokenLimits.names).nullable()

const Expires = z
  .string()
  .max(40)
  .refine(
    (text) => endOf(text, 0) !== undefined,
    `expected never, a time like 2027-01-31T12:00:00Z, or a span; ${spanRule}`,
  )
const Span = z
  .string()
  .max(10)
  .refine((text) => secondsOf(text) !== null, spanRule)

/** A request for a token. What is null or absent is as for its maker: all that the maker may use. */
export const NewToken = z.strictObject({
  name: TokenName,
  scopes: z.array(Scope).min(1).max(Scope.options.length).default(['deploy']),
  apps: namesOf(AppRule).default(null),
  owners: namesOf(OwnerName).default(null),
  team: OwnerName.nullable().default(null),
  expires: Expires.nullable().default(null),
})
export type NewToken = z.infer<typeof NewToken>

/** A request for a deploy link. The app is in the address. */
export const NewDeployLink = z.strictObject({
  owner: OwnerName.nullable().default(null),
  expires: Span.default(usualLife.link),
})
export type NewDeployLink = z.infer<typeof NewDeployLink>

/** A request for a new secret. `overlap`: how long the old one works. `expires` null: as before. */
export const Rotation = z.strictObject({
  overlap: Span.default('0s'),
  expires: Expires.nullable().default(null),
})
export type Rotation = z.infer<typeof Rotation>

/** All that the gateway shows of a token after it was made. Times are ISO 8601, UTC. */
export const TokenFacts = z.object({
  id: z.string(),
  /** `deploy-link`: for one deployment of one app. */
  kind: z.enum(['token', 'deploy-link']),
  name: z.string(),
  /** `used`: a deploy link that made its deployment. It reads that one until it expires. */
  state: z.enum(['active', 'used', 'expired', 'revoked']),
  scopes: z.array(Scope),
  apps: z.array(z.string()).nullable(),
  owners: z.array(z.string()).nullable(),
  team: z.string().nullable(),
  createdAt: z.string(),
  /** The name of the caller that made it. */
  createdBy: z.string(),
  expiresAt: z.string().nullable(),
  /** To a minute, after a restart of the gateway. */
  lastUsedAt: z.string().nullable(),
  rotatedAt: z.string().nullable(),
  /** Until when the secret before the last rotation works. Null: it does not. */
  oldSecretUntil: z.string().nullable(),
  revokedAt: z.string().nullable(),
  /** The deployment that a deploy link made. */
  deployment: z.string().nullable(),
})
export type TokenFacts = z.infer<typeof TokenFacts>

/**
 * A token with its text, which is shown this once. `notes`: what its holder does not see because of
 * its teams.
 */
export const MadeToken = TokenFacts.extend({
  token: z.string(),
  notes: z.array(z.string()).optional(),
})
export type MadeToken = z.infer<typeof MadeToken>

export const TokenPage = z.object({ tokens: z.array(TokenFacts), next: z.string().nullable() })
export type TokenPage = z.infer<typeof TokenPage>

/** `stillValid`: names of the tokens that the revoked one made, and that go on. */
export const RevokedToken = TokenFacts.extend({ stillValid: z.array(z.string()) })
export type RevokedToken = z.infer<typeof RevokedToken>
