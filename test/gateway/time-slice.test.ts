import { expect, test } from 'vitest'
import { TimeSlice } from '../../gateway/src/time-slice.ts'

test('work that shares a slice stops together, and others run between', async () => {
  const slice = new TimeSlice(1)
  const order: string[] = []
  const work = async (name: string) => {
    for (let piece = 0; piece < 3; piece++) {
      await slice.yield()
      order.push(name)
      for (const from = performance.now(); performance.now() - from < 2;);
    }
  }
  let othersRan = 0
  const timer = setInterval(() => othersRan++, 0)
  await Promise.all([work('a'), work('b')])
  clearInterval(timer)
  expect(order.toSorted()).toEqual(['a', 'a', 'a', 'b', 'b', 'b'])
  expect(othersRan).toBeGreaterThan(0)
})
