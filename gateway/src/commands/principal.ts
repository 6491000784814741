/** The caller of a command. Today there is one kind: a holder of one of the gateway's tokens. */
export type Principal = { kind: 'operator' }

export const operator: Principal = { kind: 'operator' }
