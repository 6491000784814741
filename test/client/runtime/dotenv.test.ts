import { expect, test } from 'vitest'
import { readDotenv } from '../../../client/src/runtime/dotenv.ts'

const read = (text: string) => Object.fromEntries(readDotenv(text, '.env'))

test('a .env file is read as fly secrets import reads it', () => {
  const text = [
    '# a comment',
    '',
    'PLAIN=value',
    ' SPACED = value of it ',
    'QUOTED="value in quotes"',
    "SINGLE='stays'",
    'EQUALS=a=b=c',
    'HASH=a # b',
    'EMPTY=',
    'EXPANDS=$HOME',
    'ONE="',
    'TWICE=first',
    'TWICE=second',
    'LINES="""-----BEGIN KEY-----',
    'abc',
    '-----END KEY-----"""',
    'SHORT="""one line"""',
  ].join('\r\n')
  expect(read(text)).toEqual({
    PLAIN: 'value',
    SPACED: 'value of it ',
    QUOTED: 'value in quotes',
    SINGLE: "'stays'",
    EQUALS: 'a=b=c',
    HASH: 'a # b',
    EMPTY: '',
    EXPANDS: '$HOME',
    ONE: '"',
    TWICE: 'second',
    LINES: '-----BEGIN KEY-----\nabc\n-----END KEY-----',
    SHORT: 'one line',
  })
  expect(read('\ufeffA=1')).toEqual({ A: '1' })
})

test('a line that is no variable is named by its number, and never shown', () => {
  expect(() => read('A=1\nhush')).toThrow('Line 2 of .env is not NAME=VALUE.')
  expect(() => read('export A=1')).toThrow('Leave it out')
  expect(() => read('A="""hush\nmore')).toThrow('The value of A in line 1 of .env has no closing')
})
