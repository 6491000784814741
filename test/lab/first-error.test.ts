import { expect, test } from 'vitest'
import { stepWithReason } from '../../lab/first-error.ts'

const messageOf = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: Error) => error.message,
  )
const failingCleanup = {
  [Symbol.asyncDispose]: () => Promise.reject(new Error('EBUSY: resource busy')),
}

test('a failed program is the reason, whatever its cleanup says', async () => {
  const message = await messageOf(
    stepWithReason('build', async ({ run }) => {
      try {
        await using _ = failingCleanup
        await run(['sh', '-c', 'echo no such package; exit 3'])
      } finally {
        // As when removing the folder fails as well: this hides both errors.
        await Promise.reject(new Error('EBUSY: rmdir'))
      }
    }),
  )
  expect(message).toBe(
    '`sh -c echo no such package; exit 3` ended with 3:\nno such package\nThe cleanup failed too: EBUSY: rmdir',
  )
})

test('so is any other first error', async () => {
  const work = stepWithReason('build', async () => {
    await using _ = failingCleanup
    throw new Error('the port is taken')
  })
  expect(await messageOf(work)).toBe(
    'the port is taken\nThe cleanup failed too: EBUSY: resource busy',
  )
})

test('an error of one thing alone is thrown as it is', async () => {
  const error = new Error('the disk is full')
  await expect(stepWithReason('build', () => Promise.reject(error))).rejects.toBe(error)
  expect(await stepWithReason('build', ({ run }) => run(['echo', 'made']))).toBe('made\n')
})
