import { expect, test } from 'vitest'
import type { DriftStatus } from '#api/drift/drift-status.ts'
import { renderStatus } from '#api/status/render.ts'

const at = '2026-11-30T05:00:00.000Z'
const status = { version: '1', at, startedAt: at, uptimeSeconds: 0 }
const drift: DriftStatus = {
  checkedAt: at,
  running: false,
  looked: 31,
  drifted: 1,
  apps: [{ app: 'web', findings: 2, since: at }],
  problem: null,
}

test('the status names the apps with drift, and says when nobody has looked yet', () => {
  const lines = (more: Partial<DriftStatus>) =>
    renderStatus({ ...status, drift: { ...drift, ...more } }).slice(1)
  expect(lines({})).toEqual([
    `drift     1 of 31 apps: web (2); looked at ${at}`,
    '          to see it: tarmac drift',
  ])
  expect(lines({ drifted: 0, apps: [] })).toEqual([`drift     none; looked at ${at}`])
  expect(lines({ drifted: 0, apps: [], checkedAt: null, problem: 'Fly refused.' })).toEqual([
    'drift     not looked at all apps yet',
    '          warning: Fly refused.',
  ])
})
