import { expect, test } from 'vitest'
import { DeploymentOptions } from '../../../api/options.ts'
import { operator } from '../../../gateway/src/callers/principal.ts'
import { Rollouts } from '../../../gateway/src/commands/rollouts.ts'
import type { Submissions } from '../../../gateway/src/commands/submissions.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

test('each caller has its own idempotency keys for rollouts', async () => {
  await using store = openSqliteStore(':memory:')
  const submissions = {
    look: async () => {},
    deployExisting: () => Promise.reject(new Error('not here')),
  } as unknown as Submissions
  const deps = { store, submissions, cancel: async () => {}, log: openLog('silent') }
  await using rollouts = await Rollouts.start(deps)
  const create = (name: string, app: string) =>
    rollouts.create(
      { ...operator, kind: 'token', name },
      {
        source: { image: 'registry.test/a:1' },
        targets: [{ app, options: DeploymentOptions.parse({}) }],
        parallel: 1,
        maxFailures: 1,
      },
      null,
      { requestBody: [app], idempotencyKey: 'run-1' },
    )

  const first = await create('token:a', 'shop')
  expect((await create('token:a', 'shop')).id).toBe(first.id)
  expect((await create('token:b', 'blog')).id).not.toBe(first.id)
  await expect(create('token:a', 'blog')).rejects.toMatchObject({ code: 'idempotency-mismatch' })
})
