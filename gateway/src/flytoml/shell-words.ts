/** Splits a command as a POSIX shell would, without expanding anything. Null when a quote is left open. */
export function shellWords(command: string): string[] | null {
  const words: string[] = []
  let word: string | null = null
  for (let at = 0; at < command.length; at++) {
    const char = command[at] as string
    if (/[ \t\r\n]/.test(char)) {
      if (word !== null) words.push(word)
      word = null
    } else if (char === '#' && word === null) {
      at = command.indexOf('\n', at)
      if (at === -1) break
    } else if (char === "'") {
      const end = command.indexOf("'", at + 1)
      if (end === -1) return null
      word = (word ?? '') + command.slice(at + 1, end)
      at = end
    } else if (char === '"') {
      word ??= ''
      for (at++; command[at] !== '"'; at++) {
        if (command[at] === '\\') at++
        if (at >= command.length) return null
        word += command[at]
      }
    } else {
      if (char === '\\' && ++at >= command.length) return null
      word = (word ?? '') + command[at]
    }
  }
  return word === null ? words : [...words, word]
}

/** Joins words into one command that a shell splits into the same words. */
export const shellText = (words: string[]): string =>
  words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ')
