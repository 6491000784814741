import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { acquireLease, currentLease, gate, releaseLease } from '../../../lab/localfly/leases.ts'
import { aMachine } from './machine.ts'

beforeEach(() => void vi.useFakeTimers({ now: Date.parse('2026-11-23T12:00:00Z') }))
afterEach(() => void vi.useRealTimers())

test('a lease excludes all others until it is released or expires', () => {
  const machine = aMachine()
  const { nonce, owner } = acquireLease(machine, { ttlSeconds: 13 }, undefined)
  const refusal = `aborted: machine ID abc lease currently held by ${owner}, expires at 2026-11-23T12:00:13.000Z`
  expect(() => gate(machine, undefined)).toThrow(refusal)
  expect(() => acquireLease(machine, { ttlSeconds: 13 }, 'other')).toThrow(refusal)
  expect(() => gate(machine, nonce)).not.toThrow()
  vi.advanceTimersByTime(13_000)
  expect(currentLease(machine)).toBeNull()
  expect(() => gate(machine, undefined)).not.toThrow()
})

test('a renewed lease lasts longer under the same nonce', () => {
  const machine = aMachine()
  const { nonce } = acquireLease(machine, { ttlSeconds: 13, description: 'deploy' }, undefined)
  vi.advanceTimersByTime(10_000)
  expect(acquireLease(machine, { ttlSeconds: 13 }, nonce)).toMatchObject({
    nonce,
    description: 'deploy',
  })
  vi.advanceTimersByTime(10_000)
  expect(currentLease(machine)).toMatchObject({ nonce })
  releaseLease(machine, nonce)
  expect(() => releaseLease(machine, nonce)).toThrow('lease not found')
})
