/** Which gateway, and the right to use it. */
export type Connection = { gateway: URL; token: string }
