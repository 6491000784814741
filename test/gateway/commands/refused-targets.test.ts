import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { Admission } from '../../../gateway/src/callers/admission.ts'
import { operator } from '../../../gateway/src/callers/principal.ts'
import { Rollouts } from '../../../gateway/src/commands/rollouts.ts'
import { Submissions } from '../../../gateway/src/commands/submissions.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'
import { longestHold } from '../../longest-hold.ts'

// POST /v1/rollouts {"source":{"release":1},"maxFailures":1000,"targets":[{"app":"a0"},…]}: a body of
// 15 KB. The records alone show that no target has a release. Every await then settles at once, so
// the rollout itself must yield to the event loop.
test('a rollout whose 1,000 targets are all refused by the records alone does not hold the event loop', async () => {
  await using store = openSqliteStore(':memory:')
  const log = openLog('silent')
  const none = {} as never
  const vault = { sealFor: () => ({}) } as never
  const submissions = new Submissions({
    store,
    vault,
    sources: none,
    uploads: none,
    registry: none,
    registryHost: 'registry.test',
    namedRegistries: new Set(),
    admission: new Admission(store),
    assertAccepting() {},
  })
  await using rollouts = await Rollouts.start({
    proofOf: () => undefined,
    store,
    submissions,
    cancel: async () => {},
    log,
  })
  const targets = Array.from({ length: 1000 }, (_, i) => ({
    app: `a${i}`,
    options: DeploymentOptions.parse({}),
  }))
  const requestBody = { source: { release: 1 }, targets, parallel: 4, maxFailures: 1000 }
  const { longestMs } = await longestHold(async () => {
    const { id } = await rollouts.create(operator, requestBody, null, {
      requestBody,
      idempotencyKey: null,
    })
    while ((await rollouts.find(id)).endedAt === null)
      await new Promise((resolve) => setTimeout(resolve, 50))
  })
  expect(longestMs).toBeLessThan(100)
}, 60_000)
