import type { Caller } from '#api/callers/caller.ts'
import { Problem } from '#api/problem.ts'
import type { Proof } from './principal.ts'
import type { Rules } from './rules.ts'
import type { Tokens } from './tokens/tokens.ts'

type Deps = { tokens: Pick<Tokens, 'works'>; rules: Pick<Rules, 'all'> }

/**
 * What must hold for work of a caller that goes on after a restart of the gateway: its token still
 * works, or its rule still exists.
 */
export const proofAfterRestart =
  ({ tokens, rules }: Deps) =>
  ({ name, kind }: Caller): Proof => ({
    assertHolds() {
      if (kind === 'token' && !tokens.works(name))
        throw new Problem('token-revoked', `The token of ${name} works no longer.`)
      if (kind === 'oidc' && !rules.all().some((rule) => rule.name === name))
        throw new Problem('unauthorized', `The rule ${name} was removed meanwhile.`)
    },
    ended: () => never,
  })

const never = new AbortController().signal
