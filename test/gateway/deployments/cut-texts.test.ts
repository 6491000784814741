import { expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { cutEvent } from '../../../gateway/src/deployments/cut-texts.ts'
import { sizeLimits } from '../../../gateway/src/deployments/size-limits.ts'

const long = 'x'.repeat(sizeLimits.textChars + 5)
const cut = `${'x'.repeat(sizeLimits.textChars)}… (5 more characters are left out)`

test('long texts of an event are cut, also inside its parts; the event itself stays as it is', () => {
  const event = {
    type: 'plan' as const,
    builder: 'railpack' as const,
    reason: long,
    planner: 'p',
    provider: null,
    versions: { node: long },
    startCommand: null,
  }
  expect(cutEvent(event)).toEqual({ ...event, reason: cut, versions: { node: cut } })
  expect(event.reason).toBe(long)
})

test('the problem of an event keeps the facts that fit', () => {
  const facts = { lines: ['short', long], all: Array.from({ length: 10 }, () => long) }
  const problem = new Problem('build-failed', long, { facts }).body()
  const event = cutEvent({ type: 'state', from: 'building', state: 'build_failed', problem })
  const detail = expect.stringMatching(/^x+… \(\d+ more characters are left out\)$/)
  expect(event).toMatchObject({ problem: { detail, lines: ['short', cut] } })
  expect(event).not.toHaveProperty('problem.all')
})
