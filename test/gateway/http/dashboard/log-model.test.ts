import { expect, test } from 'vitest'
import type { DeploymentState } from '../../../../api/deployment.ts'
import type { DeploymentEvent, NewEvent } from '../../../../api/event.ts'
import {
  isOpenAtFirst,
  LogModel,
  type Hold,
} from '../../../../gateway/src/http/dashboard/log/log-model.ts'

/** The model after these events, one a second. */
function read(events: NewEvent[], hold?: Hold): LogModel {
  const model = new LogModel(hold)
  for (const [index, event] of events.entries()) model.take(at(event, index))
  return model
}
const at = (event: NewEvent, index: number): DeploymentEvent => ({
  ...event,
  seq: index + 1,
  at: new Date(1000 * index).toISOString(),
})
const state = (state: DeploymentState): NewEvent => ({ type: 'state', from: null, state })
const step = (
  status: 'started' | 'cached' | 'done' | 'failed',
  name = 'a',
  more = {},
): NewEvent => ({
  type: 'step',
  step: `sha256:${name}`,
  name: `RUN ${name}`,
  status,
  ...more,
})
const log = (text: string, name: string | null = 'a'): NewEvent => ({
  type: 'log',
  step: name && `sha256:${name}`,
  stream: 'stdout',
  text,
})
const shown = ({ groups }: LogModel) =>
  groups.map(({ number, name, status, lines }) => [
    number,
    name,
    status,
    lines.map(({ text }) => text).join('|'),
  ])

test('groups are steps and states, in the order in which they begin', () => {
  const model = read([
    state('pending'),
    state('building'),
    { type: 'note', text: 'a note' },
    step('started'),
    step('cached', 'b'),
    log('one\ntwo\n'),
    log('three'),
    step('done', 'a', { ms: 900 }),
    state('live'),
    { type: 'warning', text: 'late', file: 'Dockerfile', line: 3 },
  ])
  expect(shown(model)).toEqual([
    [1, 'pending', 'done', ''],
    [2, 'building', 'done', 'a note'],
    [3, 'RUN a', 'done', 'one|two|three'],
    [4, 'RUN b', 'cached', ''],
    [5, 'live', 'done', 'warning: Dockerfile:3: late'],
  ])
  expect(model.groups.map(({ ms }) => ms)).toEqual([1000, 7000, 900, null, null])
})

test('the step that failed is open, and nothing runs after the end', () => {
  const model = read([
    state('building'),
    step('started'),
    step('started', 'b'),
    log('why\n', 'b'),
    step('failed', 'b', { ms: 5, error: 'exit code: 3' }),
    state('build_failed'),
  ])
  expect(shown(model)).toEqual([
    [1, 'building', 'failed', ''],
    [2, 'RUN a', 'stopped', ''],
    [3, 'RUN b', 'failed', 'why|exit code: 3'],
    [4, 'build failed', 'failed', ''],
  ])
  expect(model.groups.map(isOpenAtFirst)).toEqual([true, false, true, true])
})

test('an event that comes again changes nothing', () => {
  const model = read([state('building'), step('started'), log('one\n')])
  model.take(at(log('one\n'), 2))
  expect(model.groups[1]!.count).toBe(1)
})

test('a restart of the gateway stops what ran, and the step goes on where its output was', () => {
  const model = read([state('building'), step('started'), log('one\n'), state('pending')])
  expect(model.groups[1]!.status).toBe('stopped')
  for (const [index, event] of [state('building'), step('started'), log('two\n')].entries())
    model.take(at(event, 4 + index))
  expect(shown(model)[1]).toEqual([2, 'RUN a', 'started', 'one|two'])
})

test('holds the last lines of each group, or those that are asked for, with their numbers', () => {
  const lines = Array.from({ length: 50 }, (_, index) => log(`line ${index + 1}\n`))
  const events = [state('building'), step('started'), ...lines]
  const { groups } = read(events, { last: 4 })
  const [, last] = groups
  expect(last!.lines.length).toBeLessThanOrEqual(8)
  expect(last!.lines.at(-1)!.text).toBe('line 50')
  expect([last!.first + last!.lines.length - 1, last!.count]).toEqual([50, 50])

  const window = { group: 2, from: 10, to: 12 }
  const wanted = read(events, { last: 4, window }).groups[1]!
  expect(wanted.lines.map(({ text }) => text)).toEqual(['line 10', 'line 11', 'line 12'])
  expect([wanted.first, wanted.count]).toEqual([10, 50])
})
