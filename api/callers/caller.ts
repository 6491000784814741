import { z } from 'zod'

/**
 * How a caller is known. `operator`: by a token of the setting `TARMAC_TOKENS`. `proxy`: by a proxy
 * that the operator trusts. `gateway`: the gateway itself, by a timer.
 */
export const CallerKind = z.enum(['operator', 'token', 'oidc', 'proxy', 'gateway'])
export type CallerKind = z.infer<typeof CallerKind>

/** Who asked for something, as records keep it. The name is unique among all callers. */
export const Caller = z.object({ name: z.string(), kind: CallerKind })
export type Caller = z.infer<typeof Caller>
