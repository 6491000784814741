import { Problem } from '#api/problem.ts'

const quotes = '"""'

/**
 * Reads a `.env` file as `fly secrets import` does (flyctl's `internal/command/secrets/parser.go`):
 * one `NAME=VALUE` per line. Spaces around the name and before the value go, and so do double quotes
 * around the value. A value that begins with three double quotes goes on to the next three. Lines
 * that are empty or begin with # are skipped. Nothing is expanded, and # within a line is part of the
 * value. The last value of a name counts. Stricter than flyctl: a value without its end is refused.
 */
export function readDotenv(text: string, file: string): Map<string, string> {
  const values = new Map<string, string>()
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/)
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!
    if (line.startsWith('#') || line.trim() === '') continue
    const equals = line.indexOf('=')
    // The line may be a part of a secret, so no message shows it.
    if (equals < 0) throw invalid(`Line ${at + 1} of ${file} is not NAME=VALUE.`)

    const name = line.slice(0, equals).trim()
    if (name.startsWith('export '))
      throw invalid(
        `Line ${at + 1} of ${file} begins with “export”, which is for shells. Leave it out.`,
      )
    const value = line.slice(equals + 1).replace(/^ +/, '')
    if (!value.startsWith(quotes)) {
      values.set(name, unquoted(value))
      continue
    }
    const whole = quoted(lines, at, value.slice(quotes.length))
    if (!whole)
      throw invalid(`The value of ${name} in line ${at + 1} of ${file} has no closing """.`)
    values.set(name, whole.value)
    at = whole.at
  }
  return values
}

/** A value of several lines that begins with `first`, and the number of its last line. */
function quoted(
  lines: string[],
  from: number,
  first: string,
): { value: string; at: number } | null {
  if (first.endsWith(quotes)) return { value: first.slice(0, -quotes.length), at: from }
  const end = lines.findIndex((line, at) => at > from && line.endsWith(quotes))
  if (end < 0) return null
  const last = lines[end]!.slice(0, -quotes.length)
  return { value: [first, ...lines.slice(from + 1, end), last].join('\n'), at: end }
}

const unquoted = (value: string): string =>
  value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value

const invalid = (detail: string) => new Problem('option-invalid', detail)
