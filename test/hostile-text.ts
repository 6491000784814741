/**
 * Output by which a stranger could act in the terminal or CI job of a log reader, and the programs
 * that would obey it.
 */

const ESC = '\x1b'

export const hostileTexts: string[] = [
  // Terminals
  `${ESC}[2J${ESC}[H`,
  `${ESC}]0;title\x07`,
  `${ESC}]52;c;Y3VybCBldmls\x07`,
  `${ESC}]8;;http://evil${ESC}\\click${ESC}]8;;${ESC}\\`,
  `${ESC}P+q544e${ESC}\\`,
  `${ESC}_Gf=24;AAAA${ESC}\\`,
  `${ESC}^pm${ESC}\\`,
  `${ESC}X${ESC}]52;c;AAAA\x07`,
  `${ESC}${ESC}[0m[2J`,
  `${ESC}[`,
  `${ESC}]52;c;AAAA`,
  `${ESC}c`,
  `${ESC}(0`,
  ESC,
  '\x9b2J',
  '\x9d52;c;AAAA\x9c',
  '\x90q\x9c',
  '\u0085',
  'secret\b\b\b\b\b\bpublic',
  '\x07\x0b\x0c\x0e\x0f\x7f',
  'one\rtwo\r',
  ...[0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e].map((code) =>
    String.fromCharCode(code),
  ),
  ...[0x2066, 0x2067, 0x2068, 0x2069, 0x206a, 0x206f].map((code) => String.fromCharCode(code)),
  // CI runners
  '::set-output name=x::y',
  '::SET-ENV name=PATH::/evil',
  '::add-mask::true',
  '::stop-commands::token',
  '::token::',
  '::error file=a.js,line=1::boom',
  '::warning::boom',
  '::debug::boom',
  '::group::x',
  '::endgroup::',
  '::internal-set-repo-path repoFullName=a/b;workspaceRepo=true::/',
  '##[group]x',
  '##[set-output name=x]y',
  '##[add-path]/evil',
  '###[error]x',
  '##vso[task.setvariable variable=x]y',
  '##VSO[task.complete result=Succeeded]',
  "##teamcity[buildStatus status='SUCCESS']",
  'section_start:1700000000:x\r\x1b[0Ksection',
  'section_end:1700000000:x\r\x1b[0K',
  'travis_fold:start:x\r\x1b[0K',
  'travis_time:start:x\r\x1b[0K',
  '--- group',
  '+++ group',
  '~~~ group',
  '^^^ +++',
  `${ESC}[8mha:AAAA${ESC}[0m`,
  // One hidden in the other
  `##${ESC}[0m[group]x`,
  `:${ESC}[1m:error::x`,
  `##${ESC}]0;x\x07vso[task.complete]`,
  `travis_fold${ESC}[0m:start:x`,
  'fine\r::add-mask::true',
  'fine\r##[group]x',
  'fine\n::add-mask::true',
  'fine\n--- group',
  'fine\u2028::add-mask::true',
  'fine\u0085##[group]x',
  '\u00a0::add-mask::true',
  '\t::add-mask::true',
]

/** How each runner finds its commands in one line of output. */
const runners: Record<string, RegExp> = {
  'GitHub, first form': /##\[/,
  'GitHub, second form': /^\s*::[^:]*.*::/,
  Azure: /##vso\[/i,
  TeamCity: /##teamcity\[/i,
  GitLab: /section_(?:start|end):/,
  Travis: /travis_(?:fold|time):/,
  Buildkite: /^(?:---|\+\+\+|~~~|\^\^\^)/,
}

/**
 * What a reader of this output would obey, or nothing when it is safe. Lines are cut wherever any
 * reader cuts them.
 */
export function obeyed(output: string): string[] {
  const acting =
    // oxlint-disable-next-line no-control-regex -- control characters are what it is about
    output.match(/[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]/g) ?? []
  const commands = output
    .split(/[\n\r\u0085\u2028\u2029]/)
    .flatMap((line) => Object.keys(runners).filter((name) => runners[name]!.test(line)))
  return [...acting.map((character) => JSON.stringify(character)), ...commands]
}
