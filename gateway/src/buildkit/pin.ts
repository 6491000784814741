/** The digest that a name means, and when it was resolved (milliseconds since 1970). */
export type Pin = { value: string; at: number }
