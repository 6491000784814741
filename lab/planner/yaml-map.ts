/**
 * Reads the `key: value` lines of a flat YAML file, the only form of a Procfile and a Staticfile.
 */
export function readYamlMap(text: string): Record<string, string> {
  const lines = text.split('\n').map((line) => /^\s*([\w.-]+)\s*:\s*(.*?)\s*$/.exec(line))
  return Object.fromEntries(
    lines.flatMap((line) => (line ? [[line[1], unquote(line[2] ?? '')]] : [])),
  )
}

const unquote = (text: string): string =>
  /^(["'])(.*)\1$/.exec(text)?.[2] ?? text.replace(/(^|\s)#.*$/, '')
