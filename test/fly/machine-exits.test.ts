import { expect, test } from 'vitest'
import {
  bornAt,
  crashesOf,
  hasFinished,
  isJob,
  stoppedUnasked,
  type Machine,
  type MachineConfig,
} from '#fly/machine.ts'

let clock = 0
type ExitEvent = NonNullable<
  NonNullable<NonNullable<Machine['events']>[number]['request']>['exit_event']
>
const exit = (event: ExitEvent, type = 'exit') => ({
  type,
  status: 'stopped',
  timestamp: ++clock,
  request: { exit_event: event },
})
const stop = () => ({ type: 'stop', status: 'stopping', timestamp: ++clock })
const machine = (events: Machine['events'], config: MachineConfig = {}): Machine => ({
  id: 'm1',
  name: 'one',
  state: 'stopped',
  region: 'fra',
  instance_id: '01A',
  config,
  events: [{ type: 'launch', status: 'created', timestamp: 0 }, ...(events ?? [])],
})
const web = { services: [{ internal_port: 8080 }] }

test('a job serves nothing, has no check, and is not always restarted', () => {
  expect(isJob({})).toBe(true)
  expect(isJob({ restart: { policy: 'on-failure' }, services: [], checks: {} })).toBe(true)
  for (const config of [web, { checks: { up: {} } }, { restart: { policy: 'always' } }])
    expect(isJob(config)).toBe(false)
})

test('a job has finished when its last exit was clean and by itself; Fly may omit the code', () => {
  for (const event of [{}, { exit_code: 0 }, { exit_code: 0, guest_signal: -1 }]) {
    expect(hasFinished(machine([exit(event)]))).toBe(true)
    expect(crashesOf(machine([exit(event)]))).toEqual([])
    expect(hasFinished(machine([exit(event)], web))).toBe(false)
    expect(crashesOf(machine([exit(event)], web))).toHaveLength(1)
  }
  for (const event of [{ exit_code: 1 }, { oom_killed: true }, { exit_code: -1, guest_signal: 9 }])
    expect(hasFinished(machine([exit(event)]))).toBe(false)
  expect(hasFinished(machine([exit({ requested_stop: true })]))).toBe(false)
  expect(hasFinished(machine([]))).toBe(false)
  expect(hasFinished({ ...machine([exit({})]), state: 'started' })).toBe(false)
})

test('a machine went down by itself unless it was asked to stop, or its job has finished', () => {
  expect(stoppedUnasked(machine([exit({ exit_code: 3 })]))).toBe(true)
  expect(stoppedUnasked(machine([exit({ exit_code: -1, guest_signal: 9 }, 'crash')], web))).toBe(
    true,
  )
  expect(stoppedUnasked(machine([exit({})], web))).toBe(true)
  expect(stoppedUnasked(machine([exit({})]))).toBe(false)
  expect(stoppedUnasked(machine([stop(), exit({ requested_stop: true })]))).toBe(false)
  expect(stoppedUnasked(machine([exit({ exit_code: 3 }), stop()]))).toBe(false)
  expect(stoppedUnasked(machine([]))).toBe(false)
  expect(stoppedUnasked(machine([exit({ exit_code: 3 })], { schedule: 'daily' }))).toBe(false)
  expect(stoppedUnasked({ ...machine([exit({ exit_code: 3 })]), state: 'started' })).toBe(false)
})

test('a version is born with its last update or launch', () => {
  const update = { type: 'update', status: 'replacing', timestamp: 7 }
  expect(bornAt(machine([update]))).toBe(7)
  expect(bornAt({ ...machine([]), events: [] })).toBe(null)
})
