import { expect, test } from 'vitest'
import { moneyText } from '#api/status/cost.ts'
import { renderVerdict } from '#api/text/render-verdict.ts'

test('a small amount has as many digits as it needs', () => {
  expect(moneyText(0, 'USD')).toBe('0.00 USD')
  expect(moneyText(0.000421, 'USD')).toBe('0.00042 USD')
  expect(moneyText(0.42, 'EUR')).toBe('0.42 EUR')
  expect(moneyText(12.345, 'EUR')).toBe('12.35 EUR')
})

test('the verdict has the cost where the price is known', () => {
  const ended = { id: 'd1', app: 'shop', state: 'built', url: null, image: null, problem: null }
  const verdict = { ...ended, state: 'built' as const }
  const cost = { machineSeconds: 41.2, amount: 0.00042, currency: 'USD', prices: null }
  expect(renderVerdict({ ...verdict, cost })).toContain(
    'cost: 0.00042 USD (41.2 machine-seconds)\n',
  )
  expect(renderVerdict({ ...verdict, cost: { ...cost, amount: null } })).not.toContain('cost')
})
