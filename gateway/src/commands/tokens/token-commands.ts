import type {
  MadeToken,
  NewDeployLink,
  NewToken,
  RevokedToken,
  Rotation,
  TokenFacts,
  TokenPage,
} from '#api/callers/token.ts'
import type { Principal } from '../../callers/principal.ts'
import type { PageRequest } from '../../deployments/release-store.ts'

/**
 * Tokens of callers. A caller sees the tokens that reach no further than it does itself, and makes
 * none that may do more. A token is named by its id or its name. Throws `token-not-found`.
 */
export type TokenCommands = {
  /** The only time that the token itself is shown, beside `rotate`. */
  create(caller: Principal, wanted: NewToken): Promise<MadeToken>
  /** Makes a single-use token for one deployment of an app, or of one owner there. */
  createLink(
    caller: Principal,
    target: { app: string; owner: string | null },
    wanted: Pick<NewDeployLink, 'expires'>,
  ): Promise<MadeToken>
  find(caller: Principal, token: string): Promise<TokenFacts>
  /** Newest first. `all`: also those that have ended. */
  list(caller: Principal, page: PageRequest & { all: boolean }): Promise<TokenPage>
  /** Takes effect at once, also for logs that are being read. Running deployments go on. */
  revoke(caller: Principal, token: string): Promise<RevokedToken>
  /** Gives a token a new secret. The old one works for `overlap`. */
  rotate(caller: Principal, token: string, how: Rotation): Promise<MadeToken>
}
