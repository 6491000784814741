/** The root fields of a GraphQL operation, each with its alias and its name. */
export function rootFields(query: string): [alias: string, name: string][] {
  let braces = 0
  let brackets = 0
  let root = ''
  for (const char of query.replaceAll(/"(?:\\.|[^"\\])*"|#.*$/gm, '')) {
    if (char === '{') braces++
    else if (char === '(') brackets++
    else if (char === ')') brackets--
    else if (char === '}' && --braces === 0) break
    else if (braces === 1 && brackets === 0) root += char
  }
  return [...root.matchAll(/(?:(\w+)\s*:\s*)?(\w+)/g)].map(([, alias, name]) => [
    alias ?? name!,
    name!,
  ])
}
