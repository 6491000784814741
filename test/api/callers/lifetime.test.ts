import { expect, test } from 'vitest'
import { endOf, secondsOf } from '../../../api/callers/lifetime.ts'

test('spans of time have a unit', () => {
  expect(['30s', '15m', '12h', '90d', '0s'].map(secondsOf)).toEqual([30, 900, 43_200, 7_776_000, 0])
  for (const text of ['15', 'm', '-1m', '1.5h', '15 m', '1w', '1234567s', ''])
    expect([text, secondsOf(text)]).toEqual([text, null])
})

test('an end is a span from now, a time, or never', () => {
  const now = Date.parse('2026-11-30T12:00:00Z')
  expect(endOf('15m', now)).toBe(now + 900_000)
  expect(endOf('2027-01-31', now)).toBe(Date.parse('2027-01-31T00:00:00Z'))
  expect(endOf('2027-01-31T12:00:00+01:00', now)).toBe(Date.parse('2027-01-31T11:00:00Z'))
  expect(endOf('never', now)).toBeNull()
  for (const text of ['tomorrow', '2027', '2027-13-01', '31.01.2027', '2027-01-31T12:00:00'])
    expect([text, endOf(text, now)]).toEqual([text, undefined])
})
