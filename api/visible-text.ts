/**
 * Text from outside, made safe to show: a terminal obeys nothing in it, and neither does a CI runner that reads the
 * output of a job for commands. Every function here takes time in proportion to its text.
 */

/** Colours, cursor moves, links, titles and device strings: ESC to the end of what it begins. */
const sequences =
  // oxlint-disable-next-line no-control-regex -- control characters are what it is about
  /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[@-OQ-WYZ\\])/g

/**
 * Control characters (C0 but the tab, DEL, C1), line ends that only some readers know, and the characters that turn the
 * direction of the text around them.
 */
const acting = /(?!\t)[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]/gu

/** GitHub and Azure look for `##[...]`, `##vso[...]` anywhere in a line, TeamCity for `##teamcity[...]`. */
const hashCommand = /#(?=#[a-z]*\[)/gi

/**
 * GitHub, Gitea and act look for `::name ...::` where a line begins. Inside a line it is escaped too, unless it may be a
 * path of code: `std::error::Error` stays as it is. Names that no code has are escaped behind anything.
 */
const colonCommand =
  /:(?=:(?:set-output|set-env|save-state|add-path|add-mask|add-matcher|remove-matcher|stop-commands|internal-set-repo-path)(?:::| ))|(?<![\w:>)\]}]):(?=:[a-z_][\w.-]*(?:::| (?:[^:]|:(?!:))*::))/gi

/** GitLab and Travis look for these anywhere in a line. */
const sectionCommand = /(?<=section_(?:start|end)|travis_(?:fold|time)):/g

/**
 * One line, fit to be shown: escape sequences are gone, of what was written over with CR the rest is left, and what
 * could still act is visible as `\x1b` or `\u{202e}`. The same text again gives the same text.
 */
export function visible(line: string): string {
  const shown = withoutOverwritten(line.replaceAll(sequences, '')).replaceAll(acting, escaped)
  return withoutFirstCommand(shown)
    .replaceAll(hashCommand, escaped)
    .replaceAll(colonCommand, escaped)
    .replaceAll(sectionCommand, escaped)
}

/** Several lines; those after the first are indented, because Buildkite looks for `---` and the like where a line begins. */
export function visibleLines(text: string): string {
  const lines = text.replace(/\n$/, '').split('\n')
  return lines.map(visible).join('\n  ')
}

/** What is left of a line when its CRs have moved the cursor back. */
function withoutOverwritten(line: string): string {
  let end = line.length
  while (line[end - 1] === '\r') end--
  return line.slice(line.lastIndexOf('\r', end - 1) + 1, end)
}

/** A line that begins with a command of `::`, whatever its name is: a token may be any. */
function withoutFirstCommand(line: string): string {
  const text = line.trimStart()
  if (!text.startsWith('::') || !text.includes('::', 2)) return line
  return `${line.slice(0, line.length - text.length)}${escaped(':')}${text.slice(1)}`
}

function escaped(character: string): string {
  const code = character.codePointAt(0)!.toString(16)
  return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u{${code}}`
}

/** What JSON leaves as it is and a terminal or a CI runner may obey. Of JSON's own, nothing matches. */
const actingInJson =
  /[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]|(?<=#)#|(?<=:):|(?<=section_(?:start|end)|travis_(?:fold|time)):/g

/** A value as JSON in one line that is safe to show. It parses to the same value. */
export const visibleJson = (value: unknown): string => safeJson(JSON.stringify(value))

/** The same for what is JSON already. */
export const safeJson = (json: string): string =>
  json.replaceAll(
    actingInJson,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
