import { tokenLimits } from '#api/callers/token.ts'
import { Problem } from '#api/problem.ts'
import type { Principal } from '../principal.ts'
import type { HeldToken } from './held-token.ts'

/**
 * Throws `token-limit` if a caller may make no further deploy link now. Without this, one caller that
 * may only deploy could use up the places of all tokens: links are kept for a day.
 */
export function assertLinkRoom({ name }: Principal, all: readonly HeldToken[]): void {
  const { links, keptLinks } = tokenLimits
  const own = all.filter(({ stored }) => stored.kind === 'deploy-link' && stored.createdBy === name)
  if (own.length >= keptLinks)
    throw new Problem(
      'token-limit',
      `${name} has made ${keptLinks} deploy links in a day, which is the most.`,
      { facts: { limit: keptLinks } },
    )
  if (own.filter(({ state }) => state === 'active').length >= links)
    throw new Problem(
      'token-limit',
      `${name} has ${links} deploy links that nobody used yet. Wait until some expire, or revoke them.`,
      { facts: { limit: links } },
    )
}
