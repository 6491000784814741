import { z } from 'zod'
import { OwnerName } from '../app.ts'
import { Problem } from '../problem.ts'
import { issuerFault, tenantFault } from './issuers.ts'
import { Scope } from './scope.ts'

/** The issuer of a rule for people that `tailscale serve` names. */
export const tailscale = 'tailscale'
/** The issuer of a rule for machines of Fly that their private address names. */
export const flyMachine = 'fly-6pn'

/** A token lives at most so long, in seconds. GitLab's live as long as their job, mostly an hour. */
export const usualSeconds = 3900

/** An exact value, or a prefix that ends with `*`. */
const Pattern = z
  .string()
  .min(1)
  .max(500)
  .regex(/^[^*]*\*?$/, 'has `*` at its end or not at all')
const Patterns = z
  .union([Pattern, z.array(Pattern).min(1).max(50)])
  .transform((given) => (Array.isArray(given) ? given : [given]))
const AppRule = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,62}\*?$/,
    'is the name of an app, or a prefix of names that ends with `*`, like pr-*',
  )

const Fields = z.strictObject({
  name: z
    .string()
    .regex(
      /^[A-Za-z0-9][\w.@:/-]{0,99}$/,
      'has letters, digits and . _ - @ : /, at most 100, and begins with a letter or digit',
    ),
  /** The URL of an OIDC issuer, or `tailscale` or `fly-6pn`. */
  issuer: z.string().min(1).max(300),
  /** The `aud` that a token must have, exactly. Null: the issuer makes no tokens. */
  aud: z.string().min(1).max(300).nullable().default(null),
  /** All of them must match. A claim with several patterns matches by one of them. */
  claims: z
    .record(z.string().regex(/^[\w.:/-]{1,100}$/, 'is the name of a claim'), Patterns)
    .default({}),
  scopes: z.array(Scope).min(1).max(10),
  /** App names, or prefixes that end with `*`. Null: all apps. */
  apps: z.array(AppRule).min(1).max(100).nullable(),
  owners: z.array(OwnerName).min(1).max(100).nullable().default(null),
  /** Null: all teams. */
  team: z.string().min(1).max(63).nullable().default(null),
  /** The longest life of a token, in seconds. */
  maxSeconds: z.number().int().min(60).max(86_400).default(usualSeconds),
})

/** Who may do what without a secret of the gateway: claims of an identity, and its rights. */
export const NewRule = Fields.transform((rule, context) => {
  const fault = faultOf(rule)
  if (fault === null) return rule
  context.addIssue({ code: 'custom', path: [fault.at], message: fault.text })
  return z.NEVER
})
export type NewRule = z.infer<typeof NewRule>

/** A rule as the gateway lists it. */
export const Rule = Fields.extend({
  /** `settings`: of `TARMAC_OIDC_RULES`. */
  origin: z.enum(['settings', 'stored']),
  createdAt: z.string().nullable(),
  createdBy: z.string().nullable(),
})
export type Rule = z.infer<typeof Rule>
/** `notes`: what its callers do not see because of their teams. */
export type AddedRule = Rule & { notes?: string[] }

/** `lastUsedAt`: when it last allowed a caller, up to a minute late after a crash. Null: never. */
export const ListedRule = Rule.extend({ lastUsedAt: z.string().nullable().default(null) })
export type ListedRule = z.infer<typeof ListedRule>

/** Reads a rule. Throws `rule-invalid`, which names each fault. */
export function readRule(given: unknown): NewRule {
  const read = NewRule.safeParse(given)
  if (read.success) return read.data
  const faults = read.error.issues
    .slice(0, 5)
    .map(({ path, message }) => `${path.join('.') || 'rule'}: ${message}`)
  throw new Problem('rule-invalid', `The rule cannot be used. ${faults.join('; ')}.`)
}

function faultOf(rule: z.infer<typeof Fields>): { at: keyof NewRule; text: string } | null {
  const { name, issuer, aud, claims } = rule
  if (/^(?:operator|gateway|(?:token|tailscale-user|fly-machine):.*)$/.test(name))
    return { at: 'name', text: 'belongs to other callers; choose another name' }

  const isProxy = issuer === tailscale || issuer === flyMachine
  if (isProxy && aud !== null) return { at: 'aud', text: `${issuer} has no tokens; leave it out` }
  if (Object.keys(claims).length === 0)
    return { at: 'claims', text: 'is empty; without a claim, everybody would match' }
  if (isProxy) return null

  const wrong = issuerFault(issuer)
  if (wrong !== null) return { at: 'issuer', text: wrong }
  if (aud === null)
    return {
      at: 'aud',
      text: 'is missing: the audience of the tokens, mostly the gateway’s address',
    }
  const open = tenantFault(issuer, claims)
  return open === null ? null : { at: 'claims', text: open }
}
