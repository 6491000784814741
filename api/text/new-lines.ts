/** The lines of `now` that `shown`, an earlier look at the same output, lacks. */
export function newLines(shown: string[], now: string[]): string[] {
  // Both are the end of one output, so this one begins with the end of the earlier one.
  for (let size = Math.min(shown.length, now.length); size > 0; size--) {
    const end = shown.slice(-size)
    if (end.every((line, index) => line === now[index])) return now.slice(size)
  }
  return now
}
