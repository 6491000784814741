import { expect, test } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { renderEvent } from '#api/text/render-event.ts'

const render = (event: NewEvent) =>
  renderEvent({ ...event, seq: 1, at: '2026-01-01T00:01:02.345Z' }, '2026-01-01T00:00:00.000Z')

test('each log line begins with the seconds since the deployment’s creation', () => {
  expect(render({ type: 'log', step: 's', stream: 'stdout', text: 'one\ntwo\n' })).toBe(
    '   62.3s     | one\n   62.3s     | two\n',
  )
  expect(render({ type: 'step', step: 's', name: 'npm ci', status: 'cached', ms: 3 })).toBe(
    '   62.3s     npm ci: cached\n',
  )
  expect(
    render({ type: 'state', from: 'building', state: 'pending', reason: 'The gateway restarted' }),
  ).toBe('   62.3s  => pending: The gateway restarted\n')
  expect(render({ type: 'waiting', for: 'recovery', place: 1, behind: null })).toBe(
    '   62.3s     waits for deployments that ran when the gateway died: they run one at a time\n',
  )
})

test('no printed text moves the reader’s cursor or rings the bell', () => {
  const shown = (text: string) =>
    render({ type: 'log', step: null, stream: 'stdout', text }).trim().slice(12)
  expect(shown('\x1b[1;31mred\x1b[0m and \x1b]8;;http://x\x07link\x1b]8;;\x07')).toBe(
    'red and link',
  )
  expect(shown('10 %\r50 %\r100 %\r\n')).toBe('100 %')
  expect(shown('a\tb\x07\x08\x9b2Jc')).toBe('a\t\\x9b2Jc')
})

test('text of several lines is shown as lines, never as \\x0a', () => {
  const shown = (event: NewEvent) => render(event).replaceAll('   62.3s  ', '')
  expect(shown({ type: 'warning', text: 'one\ntwo\r\nthree\n' })).toBe(
    '   warning: one\n     two\n     three\n',
  )
  expect(shown({ type: 'note', text: 'one\n\ntwo' })).toBe('   one\n     \n     two\n')
  expect(shown({ type: 'state', from: null, state: 'pending', reason: 'a\nb' })).toBe(
    '=> pending: a\n  b\n',
  )
  expect(
    shown({ type: 'machine', machine: 'm', region: 'fra', status: 'failed', text: 'a\nb' }),
  ).toBe('   machine m in fra: failed, a\n     b\n')
})

test('a failed step of a Dockerfile shows its command once, at its start', () => {
  const name = '[build 3/4] RUN npm ci &&     npm run build'
  const error =
    'process "/bin/sh -c npm ci &&     npm run build" did not complete successfully: exit code: 1'
  const step = { type: 'step', step: 's', name } as const
  const log = render({ ...step, status: 'started' }) + render({ ...step, status: 'failed', error })
  expect(log.replaceAll('   62.3s  ', '')).toBe(
    `-> ${name}\n   [build 3/4] RUN: failed: exit code: 1\n`,
  )
})
