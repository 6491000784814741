import { expect, test } from 'vitest'
import { Problem } from '../../../../api/problem.ts'
import { retryWhenFull } from '../../../../gateway/src/host/disk/retry-when-full.ts'

const full = [
  Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }),
  new Problem('no-space', 'The disk is full.'),
]

function workThatFails(errors: Error[]) {
  const calls: string[] = []
  const work = () => {
    const error = errors[calls.filter((call) => call === 'work').length]
    calls.push('work')
    if (error) throw error
    return 'done'
  }
  const disk = { makeRoom: async () => void calls.push('makeRoom') }
  return { calls, result: retryWhenFull(disk, work) }
}

test.each(full)(
  'work that finds the disk full is tried again after old caches went',
  async (error) => {
    const { calls, result } = workThatFails([error])
    expect(await result).toBe('done')
    expect(calls).toEqual(['work', 'makeRoom', 'work'])
  },
)

test('the second error is thrown, and any error but a full disk', async () => {
  const other = new Error('broken')
  const twice = workThatFails([full[0]!, other])
  await expect(twice.result).rejects.toBe(other)
  const once = workThatFails([other])
  await expect(once.result).rejects.toBe(other)
  expect(once.calls).toEqual(['work'])
})
