import type { TokenStore } from '../deployments/callers/token-store.ts'
import type { Logger } from '../log.ts'
import { type Authenticator, firstOf, operatorTokens } from './authenticate.ts'
import { TokenTable } from './tokens/token-table.ts'
import { Tokens } from './tokens/tokens.ts'

/**
 * Everything that proves callers. `operators`: the tokens of the setting. Without any the gateway
 * serves loopback alone, and every caller is the operator: then there is no `authenticate`.
 */
export async function openCallers(
  operators: readonly string[],
  { store, log }: { store: { tokens: TokenStore }; log: Logger },
) {
  const table = await TokenTable.open({ store: store.tokens, log })
  const authenticate: Authenticator | null =
    operators.length > 0 ? firstOf([operatorTokens(operators), table.authenticate]) : null
  return {
    authenticate,
    tokens: new Tokens(table),
    [Symbol.asyncDispose]: () => table[Symbol.asyncDispose](),
  }
}
