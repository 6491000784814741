/**
 * Quoted text. A line that ends inside a quote counts as quoted to its end. Addresses that the
 * daemon requested are kept.
 */
const quoted = /(failed to do request: [A-Z][a-z]+ )?"(?:[^"\\]|\\[^])*["\\]?/g

/**
 * Removes quoted text from a message of the daemon. Quotes hold commands, paths and names, which
 * the source controls.
 */
export const daemonWords = (text: string): string =>
  text.replace(quoted, (all, request?: string) => (request === undefined ? '""' : all))
