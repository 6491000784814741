/**
 * Removes these letters from the end of a text. A regular expression such as `/x+$/` starts again
 * at every `x` of the text: its time grows with the square of the input.
 */
export function trimEnd(text: string, letters: string): string {
  let end = text.length
  while (end > 0 && letters.includes(text.charAt(end - 1))) end--
  return text.slice(0, end)
}
