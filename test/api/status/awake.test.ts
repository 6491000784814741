import { expect, test } from 'vitest'
import type { AwakeStatus } from '#api/status/awake.ts'
import { renderStatus } from '#api/status/render.ts'

const shown = (awake: AwakeStatus) => {
  const at = '2026-01-01T00:12:00.000Z'
  return renderStatus({ version: '1', at, startedAt: at, uptimeSeconds: 1, awake })[1]
}

test('the status says what keeps the gateway awake, and when it stops', () => {
  const holds = [
    { name: 'rollouts', count: 1 },
    { name: 'deployments', count: 3 },
  ]
  expect(shown({ holds, idleSince: null, idleStopSeconds: 600 })).toBe(
    'awake     by 1 rollout, 3 deployments; stops after 10 min without work',
  )
  const idleSince = '2026-01-01T00:09:00.000Z'
  expect(shown({ holds: [], idleSince, idleStopSeconds: 600 })).toBe(
    'awake     idle for 3 min; stops after 10 min without work',
  )
  const sweep = [{ name: 'sweeps', count: 1 }]
  expect(shown({ holds: sweep, idleSince, idleStopSeconds: null })).toBe(
    'awake     idle for 3 min; waits for 1 sweep; does not stop by itself',
  )
})
