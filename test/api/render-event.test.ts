import { expect, test } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import { renderEvent, renderVerdict } from '#api/text/render-event.ts'

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
  expect(shown('a\tb\x07\x08\x9b2Jc')).toBe('a\tb\\x07\\x08\\x9b2Jc')
})

test('a live verdict ends with the warnings of its machines and the URL', () => {
  const verdict = { id: 'd1', app: 'web', state: 'live', image: null, problem: null } as const
  const machines = [{ id: 'm1', warning: 'Users cannot reach it.' }, { id: 'm2' }]
  expect(renderVerdict({ ...verdict, url: 'http://web.flycast', machines })).toBe(
    '\nlive: web, deployment d1\nwarning: Machine m1: Users cannot reach it.\nhttp://web.flycast\n',
  )
  expect(renderVerdict({ ...verdict, url: null })).toBe('\nlive: web, deployment d1\n')
})
