type State = 'between' | 'word' | 'comment' | 'single' | 'double'

/**
 * Splits a command into words by the rules of google/shlex, which railpack and flyctl both use:
 * quotes and backslashes, no expansion. Within double quotes a backslash escapes any character. `#`
 * begins a comment only where a word could begin.
 *
 * `isOpen`: the command ends in a quote that is not closed, or in a backslash. The word that is
 * still open is then missing. railpack ignores this, flyctl refuses the command.
 */
export function shellWords(command: string): { words: string[]; isOpen: boolean } {
  const words: string[] = []
  let state: State = 'between'
  let word = ''
  const characters = command[Symbol.iterator]()
  for (const character of characters) {
    if (state === 'comment') {
      if (character === '\n') state = 'between'
    } else if (state === 'single') {
      if (character === "'") state = 'word'
      else word += character
    } else if (character === '\\') {
      const next = characters.next()
      if (next.done) return { words, isOpen: true }
      word += next.value
      if (state === 'between') state = 'word'
    } else if (state === 'double') {
      if (character === '"') state = 'word'
      else word += character
    } else if (' \t\r\n'.includes(character)) {
      if (state === 'word') words.push(word)
      state = 'between'
      word = ''
    } else if (character === '"') state = 'double'
    else if (character === "'") state = 'single'
    else if (character === '#' && state === 'between') state = 'comment'
    else {
      state = 'word'
      word += character
    }
  }
  if (state === 'word') words.push(word)
  return { words, isOpen: state === 'single' || state === 'double' }
}

/** Joins words into one command that a shell splits into the same words. */
export const shellText = (words: string[]): string =>
  words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ')
