import { expect, test } from 'vitest'
import { countDeath, suspected } from '../../../gateway/src/deployments/gateway-died.ts'

const death = { running: 1, isSameBoot: true, maxDeaths: 3 }

test('a death counts against what ran alone, and the last allowed one ends it', () => {
  expect([0, 1, 2].map((before) => countDeath(before, death))).toEqual([
    { deaths: 1, ends: false },
    { deaths: 2, ends: false },
    { deaths: 3, ends: true },
  ])
})

test('a death counts against nothing when more was at work, or when the machine has rebooted', () => {
  for (const other of [{ running: 2 }, { isSameBoot: false }])
    expect(countDeath(3, { ...death, ...other })).toEqual({ deaths: 3, ends: false })
})

test('the log of a suspect says how many deaths it has left', () => {
  expect(suspected({ deaths: 0 }, 3)).toBe(
    'The gateway died while this deployment ran. The deployments that ran then are tried again one at a time.',
  )
  expect(suspected({ deaths: 2 }, 3)).toContain(
    'That is death 2 while this deployment ran alone. After 3 it ends.',
  )
})
