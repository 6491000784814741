const maxLines = 60
const maxLineChars = 300

/** What npm prints around its error. */
const noise =
  /^\s*$|^npm (?:notice\b|(?:error|ERR!)\s*$|(?:error|ERR!) A complete log of this run\b)/
/** A line of a stack trace: Node's and Java's, Ruby's, PHP's, Go's. */
const frame = /^\s+at \S|^\s+from \S|^#\d+ |^goroutine \d|^\t\S+\.go:\d/
const npmCode = /^npm (?:error|ERR!) code E(?!LIFECYCLE)/
const npmLine = /^npm (?:error|ERR!) /
/** A line that names an error, as in `TypeError: x`, `a.ts(1,2): error TS2304: x`, `fatal: x`. */
const cause =
  /(?:^|[\s.(])(?:[A-Za-z]*Error|[A-Za-z]*Exception|ERR!|fatal|panic)(?:\[\w+\])?(?: TS\d+)?:\s*\S|\berror(?: TS\d+|\[\w+\])?:\s*\S|\(\w+Error\)|Fatal error|\bcommand not found|: not found$|: No such file or directory/

/**
 * The lines of a failed program's output that say most about why, at most `count`: without empty
 * lines, without what a restarted program printed again, with few lines of stack traces, and with
 * the line that names the error.
 */
export function tellingLines(all: string[], count: number): string[] {
  const shown = all
    .slice(-maxLines)
    .map((line) => (line.length > maxLineChars ? `${line.slice(0, maxLineChars)}…` : line))
  const said = shown.filter((line) => !noise.test(line))
  const lines = withoutFrames(
    lastRun(said.length > 0 ? said : shown.filter((line) => line.trim() !== '')),
    count,
  )
  return lines.slice(firstOf(lines, count)).slice(0, count)
}

/** Where to begin, so that the line that names the error is shown. */
function firstOf(lines: string[], count: number): number {
  const last = Math.max(0, lines.length - count)
  const code = lines.findLastIndex((line) => npmCode.test(line))
  const named = lines.findLastIndex((line) => !npmLine.test(line) && cause.test(line))
  const begin = code > named ? code : named
  return begin === -1 ? last : Math.min(begin, last)
}

/** A program that is restarted prints the same again. Keeps what it printed the last time. */
function lastRun(lines: string[]): string[] {
  for (let size = lines.length >> 1; size > 0; size--) {
    const run = lines.slice(-size)
    let from = lines.length - size
    while (from >= size && run.every((line, at) => line === lines[from - size + at])) from -= size
    if (from === lines.length - size) continue

    // What is left may be the end of an earlier run, of which the beginning was cut.
    const before = lines.slice(0, from)
    const isCutRun =
      before.length < size && before.every((line, at) => line === run[size - from + at])
    return isCutRun ? lastRun(run) : [...before, ...lastRun(run)]
  }
  return lines
}

/** Leaves out lines of stack traces, the last ones first, until `count` lines are left. */
function withoutFrames(lines: string[], count: number): string[] {
  let tooMany = lines.length - count
  return lines
    .toReversed()
    .filter((line) => !(tooMany > 0 && frame.test(line) && tooMany--))
    .toReversed()
}
