import type { Whoami } from '#api/callers/whoami.ts'
import type { Principal } from '../../callers/principal.ts'

/** What the gateway knows of a caller. */
export function whoami(caller: Principal): Whoami {
  const { name, kind, scopes, apps, owners, teams, tokenId, rule, link, address } = caller
  const ends = caller.expiresAt ?? null
  return {
    name,
    kind,
    provedBy: proofOf(caller),
    scopes: [...scopes],
    apps: apps && [...apps],
    owners: owners && [...owners],
    teams: teams && [...teams],
    tokenId,
    rule: rule ?? null,
    expiresAt: ends === null ? null : new Date(ends).toISOString(),
    isLink: link !== undefined,
    address,
  }
}

function proofOf({ kind, rule, link, isOpen }: Principal): string {
  const allowed = rule === undefined ? '' : `, allowed by the rule ${rule}`
  switch (kind) {
    case 'operator':
      return isOpen
        ? 'nothing: the gateway has no tokens, and serves its own computer alone'
        : 'a token of the setting TARMAC_TOKENS'
    case 'token':
      return link ? 'a deploy link' : 'a token of the gateway'
    case 'oidc':
      return `an OIDC token${allowed}`
    case 'proxy':
      return `a proxy that the operator trusts${allowed}`
    case 'gateway':
      return 'the gateway itself'
  }
}
