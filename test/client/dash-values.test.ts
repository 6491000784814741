import { expect, test } from 'vitest'
import { readCommandLine } from '../../client/src/command-line.ts'
import { flags } from '../../client/src/flags.ts'
import { helpOf } from '../../client/src/help.ts'
import { joinDashValues } from '../../client/src/dash-values.ts'

const env = { TARMAC_GATEWAY: 'http://gateway:8080', TARMAC_TOKEN: 'token', USER: 'ada' }
const read = (...argv: string[]) => readCommandLine(argv, env)

test('a value that begins with a dash gets the answer of its option', () => {
  const wrong = '--ttl is a span of at least 1 s, like 90s, 30m or 2h, not -5m.'
  for (const ttl of [['--ttl', '-5m'], ['--ttl=-5m']])
    expect(() => read('preview', 'shop', ...ttl)).toThrow(wrong)
  expect(() => read('preview', 'extend', 'p1', '--ttl', '0m')).toThrow('at least 1 s')
  expect(() => read('preview', 'logs', 'p1', '--lines', '-5')).toThrow(
    '--lines is a number from 1 to 1000, not -5',
  )
  expect(() => read('deploy', 'shop', '--count', '-1')).toThrow(
    '--count is invalid: expected a whole number from 1 to 100',
  )
  expect(read('cancel', 'd1', '--why', '-1 is wrong')).toMatchObject({ why: '-1 is wrong' })
})

test('an option in the place of a value is not taken for one, and the answer says how to give it', () => {
  for (const value of ['--json', '--jsno', '-h'])
    expect(() => read('cancel', 'd1', '--why', value)).toThrow(
      `--why has no value; one that begins with a dash is given as --why=${value}.`,
    )
  expect(read('cancel', 'd1', '--why=--json')).toMatchObject({ why: '--json' })
  expect(() => read('cancel', 'd1', '--why', '--')).toThrow('--why has no value')
  expect(() => read('deploy', '-c', '--json')).toThrow('--config=--json')
})

test('what follows -- stays as it is', () => {
  const argv = ['preview', 'exec', 'p1', '--timeout', '-5s', '--', 'tail', '--lines', '-5']
  const joined = ['preview', 'exec', 'p1', '--timeout=-5s', '--', 'tail', '--lines', '-5']
  expect(joinDashValues(argv, flags)).toEqual(joined)
})

const withValue = Object.entries(flags).flatMap(([name, { type }]) =>
  type === 'string' ? [name] : [],
)

test.for(withValue)('the answer to --%s with a dash is in words of the client', (name) => {
  const commands = helpOf('').matchAll(/^(?:Usage:)? +tarmac (\w+(?: \w+)?)/gm)
  for (const [, command = ''] of commands) {
    const said = answerOf([...command.split(' '), 'x', `--${name}`, '-5m'])
    expect(said).not.toMatch(/ambiguous|forget|XYZ|positional/)
  }
})

function answerOf(argv: string[]): string {
  try {
    read(...argv)
    return ''
  } catch (error) {
    return error instanceof Error ? error.message : ''
  }
}
