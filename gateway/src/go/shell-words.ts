type State = 'between' | 'word' | 'comment' | 'single' | 'double'

/**
 * Splits a command into words as railpack does (by the rules of google/shlex): quotes and
 * backslashes, no expansion. Within double quotes a backslash escapes any character. `#` begins a
 * comment only where a word could begin. A word that is still open at the end (a quote not closed,
 * a last backslash) is silently dropped.
 */
export function shellWords(text: string): string[] {
  const words: string[] = []
  let state: State = 'between'
  let word = ''
  const characters = text[Symbol.iterator]()
  for (const character of characters) {
    if (state === 'comment') {
      if (character === '\n') state = 'between'
    } else if (state === 'single') {
      if (character === "'") state = 'word'
      else word += character
    } else if (character === '\\') {
      const next = characters.next()
      if (next.done) return words
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
  return words
}
