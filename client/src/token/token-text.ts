import type { TokenFacts } from '#api/callers/token.ts'
import { minuteOf } from '#api/text/minute-of.ts'
import { table } from '#api/text/table.ts'

/** What a new token may do, and until when. */
export function madeLine(made: TokenFacts): string {
  const { name, id, scopes, oldSecretUntil } = made
  const old =
    oldSecretUntil === null ? '' : ` The old secret works until ${minuteOf(oldSecretUntil)}.`
  return `${name} (${id}) has the ${scopes.length === 1 ? 'scope' : 'scopes'} ${scopes.join(', ')} for ${reach(made)}, ${life(made)}. It is shown only now: keep it where it is used, as TARMAC_TOKEN.${old}`
}

/** How to use a deploy link. */
export const linkLines = (made: TokenFacts, app: string, gateway: URL): string[] => [
  `for one deployment of ${reach(made)}, ${life(made)}. With the token in $T:`,
  `tar cz . | curl -sSNT - -H "Authorization: Bearer $T" ${gateway.href.replace(/\/$/, '')}/deploy/${app}`,
]

/** The tokens as a table. Times are UTC. */
export function tokenTable(tokens: readonly TokenFacts[]): string[] {
  if (tokens.length === 0) return ['no tokens; to make one: tarmac token create NAME']
  const rows = tokens.map((each) => [
    each.name,
    each.id,
    each.state,
    each.scopes.join(','),
    reach(each),
    each.expiresAt === null ? 'never' : minuteOf(each.expiresAt),
    each.lastUsedAt === null ? 'never' : minuteOf(each.lastUsedAt),
    each.createdBy,
  ])
  const all = [
    ['NAME', 'ID', 'STATE', 'SCOPES', 'APPS', 'EXPIRES (UTC)', 'LAST USED (UTC)', 'MADE BY'],
    ...rows,
  ]
  return table(all, [])
}

function reach({ apps, owners, team }: TokenFacts): string {
  const parts = [
    apps === null ? 'all apps' : apps.join(','),
    ...(owners === null ? [] : [`of owner ${owners.join(',')}`]),
    ...(team === null ? [] : [`of team ${team}`]),
  ]
  return parts.join(' ')
}

const life = ({ expiresAt }: TokenFacts): string =>
  expiresAt === null ? 'without an end' : `until ${minuteOf(expiresAt)}`
