import { z } from 'zod'
import { CallerKind } from './caller.ts'
import { Scope } from './scope.ts'

/** `GET /v1/whoami`: the caller as the gateway knows it, and what it may do. */
export const Whoami = z.object({
  name: z.string(),
  kind: CallerKind,
  /** What proved the caller, in words. */
  provedBy: z.string(),
  scopes: z.array(Scope),
  /** App names, or prefixes that end with `*`. Null: all apps of its teams. */
  apps: z.array(z.string()).nullable(),
  owners: z.array(z.string()).nullable(),
  /** Null: all teams. */
  teams: z.array(z.string()).nullable(),
  /** The id of a stored token. */
  tokenId: z.string().nullable(),
  /** The rule that allowed the caller. */
  rule: z.string().nullable(),
  /** When the token ends. Null: never, or there is none. */
  expiresAt: z.string().nullable(),
  /** A deploy link, which makes one deployment. */
  isLink: z.boolean(),
  /** The address that the request came from. */
  address: z.string().nullable(),
})
export type Whoami = z.infer<typeof Whoami>
