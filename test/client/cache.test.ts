import { expect, test } from 'vitest'
import { readCommandLine } from '../../client/src/command-line.ts'
import { removedText, usageText } from '../../client/src/cache/cache.ts'

const env = { TARMAC_GATEWAY: 'http://tarmac:8080' }

test('tarmac cache lists, and tarmac cache rm APP removes', () => {
  expect(readCommandLine(['cache'], env)).toMatchObject({ name: 'cache', app: null })
  expect(readCommandLine(['cache', 'rm', 'web'], env)).toMatchObject({ name: 'cache', app: 'web' })
  for (const wrong of [['rm'], ['rm', 'a', 'b'], ['ls']])
    expect(() => readCommandLine(['cache', ...wrong], env)).toThrow(
      'The usage is: tarmac cache [rm APP]. See tarmac cache --help.',
    )
  expect(() => readCommandLine(['cache', 'rm', 'Not.An.App'], env)).toThrow()
})

test('the list has a line for each app, and what is shared once', () => {
  const lastUsedAt = '2026-11-30T05:06:07.000Z'
  const app = { mountBytes: 300e6, sourceBytes: 1e6, sharedBytes: 800e6, lastUsedAt }
  const text = usageText({
    measuredAt: lastUsedAt,
    totalBytes: 2.1e9,
    maxBytes: 40e9,
    appBytes: 20e9,
    sharedBytes: 800e6,
    otherBytes: 1.5e6,
    apps: [
      { app: 'web', bytes: 1.2e9, ...app },
      { app: 'a-longer-name', bytes: 98e6, ...app, mountBytes: 0 },
    ],
  })
  expect(text).toBe(`APP               OWN  OF IT MOUNTS  SHARED   LAST USED (UTC)
web            1.2 GB        300 MB  800 MB  2026-11-30 05:06
a-longer-name   98 MB        0.0 MB  800 MB  2026-11-30 05:06

own       1.3 GB, what only one app uses; one app may have 20.0 GB
shared    800 MB, what several apps use, counted once
other     1.5 MB, what no app is known to use
total     2.1 GB of at most 40.0 GB`)
})

test('a removal says what went, and what a running build keeps', () => {
  const removed = { app: 'web', removedBytes: 1.2e9, keptBytes: 0, removedPlans: 1 }
  expect(removedText(removed)).toBe(
    'removed 1.2 GB and 1 plan of web; its next build runs every step.',
  )
  expect(removedText({ ...removed, keptBytes: 5e6, removedPlans: 0 })).toBe(
    'removed 1.2 GB and 0 plans of web; its next build runs every step. A build that runs keeps 5.0 MB; nothing later uses them.',
  )
})
