import { expect, test } from 'vitest'
import { failingChecks } from '../../../../gateway/src/deploy/machines/checks.ts'
import {
  explainMachine,
  hiddenByVolume,
  spawnError,
  startError,
} from '../../../../gateway/src/deploy/machines/failures.ts'
import { exitWords, type Machine } from '#fly/machine.ts'

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

test('a line of init that the command could not be started is explained', () => {
  const fly =
    ' ERROR Error: failed to spawn command: /app/server: No such file or directory (os error 2)'
  expect(spawnError(['one', fly, 'two'])).toBe(
    'The command itself could not be started. The command is not in the image, or it is a script with Windows line ends (CRLF) or with an interpreter that the image lacks',
  )
  expect(spawnError(['failed to exec pid1: Permission denied'])).toBe(
    'The command itself could not be started. Its file is not executable: chmod +x sets that',
  )
  expect(spawnError(['Error: ENOENT: no such file or directory, open config.json'])).toBe('')
})

test('a machine that failed says its memory, its group’s command, and what a check expects', () => {
  const base = failed('')
  const crash = { type: 'exit', status: 'stopped', timestamp: 1 }
  const exit = (more: object): Machine => ({
    ...base,
    config: { guest: { cpu_kind: 'shared', cpus: 1, memory_mb: 512 } },
    events: [{ ...crash, request: { exit_event: { exit_code: 137, ...more } } }],
  })
  expect(explainMachine(exit({ oom_killed: true }))).toEqual([
    'It has 512 MB; memory in [[vm]] of fly.toml gives it more, such as "1gb"',
  ])
  expect(
    explainMachine({
      ...exit({}),
      config: {
        init: { cmd: ['node', 'a.js'] },
        metadata: { fly_process_group: 'web' },
      },
    }),
  ).toEqual(['The command of its process group web is: node a.js'])
  expect(
    explainMachine({
      ...exit({}),
      config: {
        init: { entrypoint: ['sh -c'], cmd: ['node', 'a.js'] },
        metadata: { fly_process_group: 'web' },
      },
    }),
  ).toEqual(['The command of its process group web is: sh -c node a.js'])

  const output = 'HTTP GET http://172.19.2.2:8080/up: 404 Not Found Output: "<!doctype html>\nx'
  const checked: Machine = {
    ...base,
    events: [],
    state: 'started',
    checks: [{ name: 'up', status: 'critical', output }],
  }
  expect(explainMachine(checked)).toEqual([expect.stringContaining('a status from 200 to 299')])
  expect(failingChecks(checked)).toEqual([
    'check up is critical: HTTP GET http://172.19.2.2:8080/up: 404 Not Found',
  ])
  expect(explainMachine({ ...base, events: [] })).toEqual([])
})

test('a volume that hides the program’s files is named', () => {
  const machine = { ...failed(''), config: { mounts: [{ volume: 'vol_1', path: '/app' }] } }
  const missing = "Error: Cannot find module '/app/server.mjs'"
  expect(hiddenByVolume(machine, ['hello', missing])).toBe(
    'A volume is mounted at /app and hides what the image has there. If the program needs that, choose another destination in [mounts]',
  )
  for (const other of ["Error: Cannot find module '/application/a'", 'wrote /app/a.db'])
    expect(hiddenByVolume(machine, [other])).toBe('')
  expect(hiddenByVolume({ ...machine, config: {} }, [missing])).toBe('')
})

test('exit code 127 is explained', () => {
  expect(exitWords({ exit_code: 127 })).toBe(
    'ended by itself with exit code 127 (a shell’s code for a command that was not found)',
  )
  expect(exitWords({ exit_code: 1 })).toBe('ended by itself with exit code 1')
})
