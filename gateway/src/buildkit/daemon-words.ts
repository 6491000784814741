/** A quoted text; a line that ends inside of one is quoted up to its end. Only addresses that the daemon asked for stay. */
const quoted = /(failed to do request: [A-Z][a-z]+ )?"(?:[^"\\]|\\[^])*["\\]?/g

/** What the daemon says, without what it quotes: commands, paths and names are the source's words, and may say anything. */
export const daemonWords = (text: string): string =>
  text.replace(quoted, (all, request?: string) => (request === undefined ? '""' : all))
