/** Which gateway, and the right to use it. */
export type Connection = { gateway: URL; token: string }

/** Gives a token that is valid now. Empty: there is none. */
export type TokenSource = { token: () => Promise<string> }
