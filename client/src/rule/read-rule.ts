import { type NewRule, readRule, usualSeconds } from '#api/callers/rule.ts'
import { Problem } from '#api/problem.ts'
import { wrongUse } from '../option.ts'
import { type Preset, readPreset } from './presets.ts'

/** What `tarmac rule` is asked to do. */
export type RuleRequest =
  | { verb: 'list' }
  | { verb: 'remove'; rule: string }
  | { verb: 'add'; rule: NewRule; preset: Preset | null }

type Values = Parameters<typeof readPreset>[0] & {
  claim?: string[] | undefined
  aud?: string | undefined
  scope?: string[] | undefined
  app?: string | undefined
  'all-apps': boolean
  owner?: string | undefined
  team?: string | undefined
  'max-life'?: string | undefined
}

export const ruleUsage = 'list, rule add [NAME] [OPTIONS] or rule remove NAME'

/** Reads `tarmac rule …`. Null: it is used in another way. `aud`: the audience unless `--aud` names one. */
export function readRuleArgs(
  [verb, name, ...more]: string[],
  values: Values,
  aud: string,
): RuleRequest | null {
  if (more.length > 0) return null
  if (verb === 'list' && name === undefined) return { verb }
  if (verb === 'remove' && name !== undefined) return { verb, rule: name }
  if (verb !== 'add') return null

  const preset = readPreset(values)
  const issuer = preset?.issuer ?? values.issuer
  if (issuer === undefined)
    throw wrongUse(
      'Say whom the rule is for: --github, --gitlab, --fly, --tailscale, --fly-6pn or --issuer.',
    )
  const hasTokens = issuer.includes('://')
  const rule = {
    name:
      name ?? preset?.name ?? missing('Give the rule a name: tarmac rule add NAME --issuer URL …'),
    issuer,
    aud: hasTokens ? (values.aud ?? aud) : (values.aud ?? null),
    claims: { ...preset?.claims, ...readClaims(values.claim ?? []) },
    scopes: listOf(values.scope?.join() ?? 'deploy'),
    apps: readApps(values),
    owners: values.owner === undefined ? null : listOf(values.owner),
    team: values.team ?? null,
    maxSeconds: values['max-life'] === undefined ? usualSeconds : Number(values['max-life']),
  }
  return { verb, rule: checked(rule), preset }
}

function readApps({ app: apps, 'all-apps': all }: Values): string[] | null {
  if (all && apps !== undefined) throw wrongUse('Give --app or --all-apps, not both.')
  if (all) return null
  return listOf(
    apps ?? missing('Say which apps it may use: --app shop, --app shop,pr-* or --all-apps.'),
  )
}

function readClaims(pairs: string[]): Record<string, string[]> {
  const claims: Record<string, string[]> = {}
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1) throw wrongUse(`--claim is given as NAME=VALUE, not as ${pair}.`)
    const name = pair.slice(0, at)
    claims[name] = [...(claims[name] ?? []), pair.slice(at + 1)]
  }
  return claims
}

function checked(rule: object): NewRule {
  try {
    return readRule(rule)
  } catch (error) {
    throw error instanceof Problem ? wrongUse(error.message) : error
  }
}

const listOf = (text: string) =>
  text
    .split(',')
    .map((each) => each.trim())
    .filter(Boolean)

function missing(text: string): never {
  throw wrongUse(text)
}
