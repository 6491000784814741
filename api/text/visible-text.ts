/**
 * Makes text from outside safe to show. Terminals execute nothing in it, nor do CI runners, which
 * search a job's output for commands. Every function here takes time linear in its text.
 */

/** Colours, cursor moves, links, titles and device strings: from ESC to the end of the sequence. */
const sequences =
  // oxlint-disable-next-line no-control-regex -- it matches control characters
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-OQ-WYZ\\`-~])/g

/** Controls that a terminal obeys without showing anything: NUL, the bell, and character sets. */
// oxlint-disable-next-line no-control-regex -- it matches control characters
const silent = /[\x00\x07\x0e\x0f]/g

/**
 * Control characters (C0 except tab, DEL, C1), line ends that only some readers know, and
 * characters that change the text direction.
 */
const acting = /(?!\t)[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]/gu

/**
 * GitHub and Azure look for `##[...]` and `##vso[...]` anywhere in a line, TeamCity for
 * `##teamcity[...]`.
 */
const hashCommand = /#(?=#[a-z]*\[)/gi

/**
 * GitHub, Gitea and act look for `::name ...::` at the start of a line. Inside a line it is escaped
 * too, except where it may be code: `std::error::Error` stays as it is. Command names that never
 * occur in code are always escaped.
 */
const colonCommand =
  /:(?=:(?:set-output|set-env|save-state|add-path|add-mask|add-matcher|remove-matcher|stop-commands|internal-set-repo-path)(?:::| ))|(?<![\w:>)\]}]):(?=:[a-z_][\w.-]*(?:::| (?:[^:]|:(?!:))*::))/gi

/** GitLab and Travis look for these anywhere in a line. */
const sectionCommand = /(?<=section_(?:start|end)|travis_(?:fold|time)):/g

/**
 * Makes one line safe to show, as a terminal would show it. It removes escape sequences, and text
 * that a CR or a backspace would overwrite. Characters that could still have an effect become
 * visible as `\x1b` or `\u{202e}`. A second call changes nothing.
 */
export function visible(line: string): string {
  return withoutFirstCommand(terminalText(line))
    .replaceAll(hashCommand, escaped)
    .replaceAll(colonCommand, escaped)
    .replaceAll(sectionCommand, escaped)
}

/** What a terminal would show of one line. For readers that no CI runner reads, such as a browser. */
export function terminalText(line: string): string {
  const plain = line.replaceAll(sequences, '').replaceAll(silent, '')
  return withBackspaces(withoutOverwritten(plain)).replaceAll(acting, escaped)
}

/**
 * Makes several lines safe. All but the first are indented: Buildkite looks for `---` and the like
 * at the start of a line.
 */
export function visibleLines(text: string): string {
  const lines = text.replace(/\n$/, '').split('\n')
  return lines.map(visible).join('\n  ')
}

/**
 * Shows the control characters of a text, for readers that obey no terminal's sequences, such as a
 * browser. Lines stay lines.
 */
export const showControls = (text: string): string =>
  text
    .replaceAll('\r\n', '\n')
    .replaceAll(acting, (character) => (character === '\n' ? '\n' : escaped(character)))

/** What remains visible of a line with CRs. */
function withoutOverwritten(line: string): string {
  let end = line.length
  while (line[end - 1] === '\r') end--
  return line.slice(line.lastIndexOf('\r', end - 1) + 1, end)
}

/** What remains visible of a line with backspaces: each moves the cursor back by one character. */
function withBackspaces(line: string): string {
  if (!line.includes('\b')) return line
  const cells: string[] = []
  let cursor = 0
  for (const character of line)
    if (character === '\b') cursor = Math.max(0, cursor - 1)
    else cells[cursor++] = character
  return cells.join('')
}

/**
 * Escapes a `::` command at the start of a line, with any name: it may be a token that ends
 * `::stop-commands`.
 */
function withoutFirstCommand(line: string): string {
  const text = line.trimStart()
  if (!text.startsWith('::') || !text.includes('::', 2)) return line
  return `${line.slice(0, line.length - text.length)}${escaped(':')}${text.slice(1)}`
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!.toString(16)
  return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u{${code}}`
}

/**
 * Characters that JSON leaves unescaped and that a terminal or a CI runner may act on. JSON's own
 * syntax never matches.
 */
const actingInJson =
  /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]|(?<=#)#|(?<=:):|(?<=section_(?:start|end)|travis_(?:fold|time)):/g

/** A value as JSON in one line that is safe to show. It parses to the same value. */
export const visibleJson = (value: unknown): string => safeJson(JSON.stringify(value))

/** Does the same to text that is JSON already. */
export const safeJson = (json: string): string =>
  json.replaceAll(
    actingInJson,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
