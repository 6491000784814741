/** The first names of a list, and how many more there are: `a, b and 3 more`. */
export function someOf(names: readonly string[], limit: number): string {
  const shown = names.slice(0, limit).join(', ')
  return names.length > limit ? `${shown} and ${names.length - limit} more` : shown
}
