import { expect, test } from 'vitest'
import { RequestBudget } from '#fly/request-budget.ts'

const never = new AbortController().signal
async function ms(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

test('three calls of one action on one machine go out at once, the fourth one second later; other machines do not wait', async () => {
  const budget = new RequestBudget()
  const four = () => Promise.all([1, 2, 3, 4].map(() => budget.take('update', 'm1', never)))
  const [busy, other] = await Promise.all([ms(four), ms(() => budget.take('update', 'm2', never))])
  expect(busy).toBeGreaterThan(950)
  expect(busy).toBeLessThan(1500)
  expect(other).toBeLessThan(100)
  expect(budget.use).toMatchObject({ calls: 5, delayed: 1, waiting: 0, refused: 0 })
  expect(budget.use.delayedMs).toBeGreaterThan(950)
})

test('machine reads allow ten at once and five per second', async () => {
  const budget = new RequestBudget()
  expect(
    await ms(() => Promise.all(Array.from({ length: 12 }, () => budget.take('get', 'm1', never)))),
  ).toBeGreaterThan(350)
})

test('after a 429 all calls of that kind wait as long as Fly asked, and an abort ends the wait', async () => {
  const budget = new RequestBudget()
  budget.pause('list', 'app', 400)
  expect(await ms(() => budget.take('list', 'app', never))).toBeGreaterThan(350)
  budget.pause('list', 'app', 60_000)
  await expect(budget.take('list', 'app', AbortSignal.timeout(20))).rejects.toThrow('aborted')
})

test('an abort ends the wait with its own reason, by which a rollback knows a lost lease', async () => {
  const budget = new RequestBudget()
  budget.pause('wait', 'm1', 60_000)
  const lost = new AbortController()
  const waiting = budget.take('wait', 'm1', lost.signal)
  const reason = new Error('the lease was lost')
  lost.abort(reason)
  await expect(waiting).rejects.toBe(reason)
})
