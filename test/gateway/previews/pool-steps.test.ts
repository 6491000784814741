import { expect, test } from 'vitest'
import type { PoolEntry } from '../../../gateway/src/deployments/previews/pool-store.ts'
import { nextStep } from '../../../gateway/src/previews/pool/next-step.ts'

const dayMs = 86_400_000
const nowMs = Date.parse('2026-01-10T00:00:00Z')
const entry = (id: string, state: PoolEntry['state'], fits = 'new', days = 6.9) =>
  ({ id, state, fits, expiresAt: new Date(nowMs + days * dayMs).toISOString() }) as PoolEntry
const next = (size: number, entries: PoolEntry[], hasRoom = true) => {
  const step = nextStep(entries, { size, fits: 'new', hasRoom, nowMs })
  return step && (step.do === 'fill' ? step.do : `${step.do} ${step.entry.id}`)
}

test('a pool is filled one after another, and rests what is ready', () => {
  expect(next(2, [])).toBe('fill')
  expect(next(2, [], false)).toBe(null)
  expect(next(2, [entry('a', 'starting')])).toBe(null)
  expect(next(2, [entry('a', 'ready')])).toBe('rest a')
  expect(next(2, [entry('a', 'suspended')])).toBe('fill')
  expect(next(2, [entry('a', 'suspended'), entry('b', 'stopped')])).toBe(null)
})

test('what does not fit or is too old is replaced one after another, and what is too much goes', () => {
  const [a, b] = [entry('a', 'suspended', 'old'), entry('b', 'suspended', 'old')]
  expect(next(2, [a, b])).toBe('drop a')
  const going = entry('a', 'destroying', 'old')
  expect(next(2, [going, b])).toBe('fill')
  expect(next(2, [going, b, entry('c', 'starting')])).toBe(null)
  expect(next(2, [going, b, entry('c', 'suspended')])).toBe(null)
  expect(next(2, [b, entry('c', 'suspended')])).toBe('drop b')
  expect(next(2, [entry('c', 'suspended'), entry('d', 'suspended', 'new', 0.9)])).toBe('drop d')
  expect(next(1, [entry('c', 'suspended'), entry('d', 'suspended')])).toBe('drop d')
})
