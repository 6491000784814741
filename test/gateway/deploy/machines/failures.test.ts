import { expect, test } from 'vitest'
import { spawnError, startError } from '../../../../gateway/src/deploy/machines/failures.ts'
import { exitWords, type Machine } from '../../../../gateway/src/fly/machine.ts'

const failed = (error: string): Machine => ({
  id: 'm1',
  name: 'one',
  state: 'failed',
  region: 'fra',
  instance_id: '01A',
  config: {},
  events: [{ type: 'start', status: 'failed', timestamp: 1, request: { error } }],
})

test('a start that fails for a missing command says what that may mean', () => {
  expect(startError(failed('exec: "/run.sh": stat /run.sh: no such file or directory'))).toMatch(
    /^: exec.*directory\. The command is not in the image, or it is a script with Windows line ends/,
  )
  expect(startError(failed('Os code 2'))).toContain('The command is not in the image')
  expect(startError(failed('no capacity'))).toBe(': no capacity')
})

test('the line of an init that could not start the command is quoted', () => {
  const fly =
    ' ERROR Error: failed to spawn command: /app/server: No such file or directory (os error 2)'
  expect(spawnError(['one', fly, 'two'])).toBe(
    `The command could not be started (Error: failed to spawn command: /app/server: No such file or directory (os error 2)). The command is not in the image, or it is a script with Windows line ends (CRLF) or with an interpreter that the image lacks`,
  )
  expect(spawnError(['failed to exec pid1: Permission denied'])).toBe(
    'The command could not be started (failed to exec pid1: Permission denied)',
  )
  expect(spawnError(['Error: ENOENT: no such file or directory, open config.json'])).toBe('')
})

test('exit code 127 is explained', () => {
  expect(exitWords({ exit_code: 127 })).toBe(
    'ended by itself with exit code 127 (a shell’s code for a command that was not found)',
  )
  expect(exitWords({ exit_code: 1 })).toBe('ended by itself with exit code 1')
})
