import { expect, test } from 'vitest'
import { terminalText } from '../../../../api/text/visible-text.ts'
import { coloured } from '../../../../gateway/src/http/dashboard/log/coloured.ts'
import { hostileTexts } from '../../../hostile-text.ts'

const classes = (line: string) => coloured(line).map((piece) => [piece.text, piece.classes])

test.each([
  [
    '\x1b[31mred\x1b[0m plain',
    [
      ['red', 'f1'],
      [' plain', ''],
    ],
  ],
  [
    '\x1b[1;92mbold\x1b[22m not',
    [
      ['bold', 'f10 bold'],
      [' not', 'f10'],
    ],
  ],
  [
    '\x1b[44;97mback\x1b[49m\x1b[39mnone',
    [
      ['back', 'f15 b4'],
      ['none', ''],
    ],
  ],
  [
    '\x1b[38;5;196mcube\x1b[m!',
    [
      ['cube', 'f9'],
      ['!', ''],
    ],
  ],
  [
    '\x1b[38;2;0;130;10mtrue\x1b[4mline',
    [
      ['true', 'f2'],
      ['line', 'f2 underline'],
    ],
  ],
  ['\x1b[38:5:4mcolons', [['colons', 'f4']]],
  [
    '\x1b[999;38;5;mtoo\x1b[38mfew',
    [
      ['too', 'f0'],
      ['few', ''],
    ],
  ],
  ['plain', [['plain', '']]],
])('%j', (line, expected) => expect(classes(line)).toEqual(expected))

test('a line that overwrites itself is shown as a terminal would, without colours', () => {
  expect(classes('\x1b[31m10%\r\x1b[32m100%\r')).toEqual([['100%', '']])
})

test('whatever a line has, its text is the same as without colours, and its classes are ours', () => {
  for (const text of hostileTexts) {
    for (const line of [text, `\x1b[31m${text}\x1b[0m`, `a${text}\x1b[1mb`]) {
      const pieces = coloured(line)
      expect(pieces.map((piece) => piece.text).join('')).toBe(terminalText(line))
      for (const piece of pieces) expect(piece.classes).toMatch(/^(?:[a-z]+\d{0,2}(?: |$))*$/)
    }
  }
})
