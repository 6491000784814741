import { expect, test } from 'vitest'
import type { ProblemCode } from '#api/problem/codes.ts'
import { Problem } from '#api/problem.ts'
import { retryWhileUnavailable } from '../../../gateway/src/pipeline/retry-unavailable.ts'

/** How often work that fails with this code is tried within 600 ms. */
async function triesOf(code: ProblemCode): Promise<number> {
  let tries = 0
  const work = async () => {
    tries++
    throw new Problem(code, 'no')
  }
  const signal = AbortSignal.timeout(10_000)
  await expect(retryWhileUnavailable(work, 600, () => {}, signal)).rejects.toMatchObject({ code })
  return tries
}

test('an outage is tried again; a lease, for which the gateway has waited a minute, is not', async () => {
  expect(await triesOf('fly-unavailable')).toBe(2)
  expect(await triesOf('machine-leased')).toBe(1)
  expect(await triesOf('deploy-failed')).toBe(1)
})
