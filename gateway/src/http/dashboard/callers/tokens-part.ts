import type { TokenFacts, TokenPage } from '#api/callers/token.ts'
import { addressOf } from '../parts/addresses.ts'
import { firstCommand } from '../lists/first-command.ts'
import { html, type Html } from '../parts/html.ts'
import { mark, type Mood } from '../parts/mark.ts'
import type { PageContext } from '../parts/page.ts'
import { table } from '../parts/tables.ts'
import { timeOf } from '../parts/time.ts'

/** The tokens that reach no further than the reader. `all`: also those that have ended. */
export function tokensPart(
  { gateway }: PageContext,
  { tokens, next }: TokenPage,
  all: boolean,
): Html {
  const other = html`<p>
    <a href="${addressOf('callers', {}, { all: all ? null : 'true' })}"
      >${all ? 'Only those that work' : 'Also those that have ended'}</a
    >${next && html` · <a href="${addressOf('callers', {}, { all: all ? 'true' : null, cursor: next })}">Older ones</a>`}
  </p>`
  if (tokens.length === 0)
    return html`${firstCommand('There is none. To make one for a program, here below or:', gateway, 'tarmac token create ci')}
    ${other}`
  return html`${table(
    'Tokens, newest first',
    ['Token', 'State', 'May', 'Apps', 'Used', 'Ends', 'Made by'],
    tokens.map((token) => [
      html`<a href="${addressOf('token', { token: token.id })}">${token.name}</a>`,
      tokenMark(token),
      token.scopes.join(', '),
      reachOf(token),
      token.lastUsedAt === null ? 'never' : timeOf(token.lastUsedAt),
      token.expiresAt === null ? 'never' : timeOf(token.expiresAt),
      token.createdBy,
    ]),
  )}
  ${other}`
}

const moods: Record<TokenFacts['state'], Mood> = {
  active: 'good',
  used: 'over',
  expired: 'over',
  revoked: 'over',
}
export const tokenMark = ({ state }: Pick<TokenFacts, 'state'>): Html => mark(moods[state], state)

/** The apps, owners and team that a token or a rule is for. */
export function reachOf({
  apps,
  owners,
  team,
}: Pick<TokenFacts, 'apps' | 'owners' | 'team'>): string {
  const parts = [
    apps === null ? 'all' : apps.join(', '),
    ...(owners === null ? [] : [`for ${owners.join(', ')}`]),
    ...(team === null ? [] : [`of team ${team}`]),
  ]
  return parts.join(' ')
}
