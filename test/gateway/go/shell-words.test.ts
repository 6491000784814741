import { expect, test } from 'vitest'
import { shellWords } from '../../../gateway/src/go/shell-words.ts'

test.each<[string, string, string[]]>([
  [
    'words part at blanks, tabs and line ends alone',
    ' a\tb\r\nc\vd\u00a0e ',
    ['a', 'b', 'c\vd\u00a0e'],
  ],
  ['single quotes take all as it is', `sh -c 'a "b" \\n'`, ['sh', '-c', 'a "b" \\n']],
  ['a backslash in double quotes takes any character', '"b\\n \\" \\$"', ['bn " $']],
  ['pieces without a blank between are one word', `'it'"'"'s'`, ["it's"]],
  ['empty quotes are a word', `a "" ''`, ['a', '', '']],
  ['a backslash takes a blank, a quote, a line end', `x\\ y \\' a\\\nb`, ['x y', "'", 'a\nb']],
  [
    'a comment begins only where a word could, and ends with the line',
    'a#b #c\rd\ne "#"',
    ['a#b', 'e', '#'],
  ],
  ['a quote that is not closed drops the word', 'a "b c', ['a']],
  ['a last backslash drops the word', 'a b\\', ['a']],
  ['a comment alone is no word', '# x', []],
  [
    'a command is split as a shell splits it',
    `a "b c" 'd "e"' f\\ g "h\\"i" # comment`,
    ['a', 'b c', 'd "e"', 'f g', 'h"i'],
  ],
])('%s', (_, text, words) => expect(shellWords(text).words).toEqual(words))

test.each<[string, boolean]>([
  ['a "b', true],
  [`a 'b "c"`, true],
  ['a b\\', true],
  [`a "" 'b' \\" # "c`, false],
  ['', false],
])('a quote or a backslash at the end leaves a command open: %j is %s', (text, isOpen) =>
  expect(shellWords(text).isOpen).toBe(isOpen),
)
