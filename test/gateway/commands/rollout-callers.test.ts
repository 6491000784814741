import { expect, test, vi } from 'vitest'
import { DeploymentOptions } from '../../../api/options.ts'
import { Problem } from '../../../api/problem.ts'
import { operator, type Principal } from '../../../gateway/src/callers/principal.ts'
import { Rollouts } from '../../../gateway/src/commands/rollouts.ts'
import { proofAfterRestart } from '../../../gateway/src/callers/proof-after-restart.ts'
import { TokenTable } from '../../../gateway/src/callers/tokens/token-table.ts'
import { Tokens } from '../../../gateway/src/callers/tokens/tokens.ts'
import { NewToken } from '../../../api/callers/token.ts'
import type { Submissions } from '../../../gateway/src/commands/submissions.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const log = openLog('silent')

test('each caller has its own idempotency keys for rollouts', async () => {
  await using store = openSqliteStore(':memory:')
  const submissions = {
    look: async () => {},
    deployExisting: () => Promise.reject(new Error('not here')),
  } as unknown as Submissions
  const deps = { store, submissions, cancel: async () => {}, log, proofOf: () => undefined }
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

test.each([
  ['goes on', { kind: 'token', name: 'token:ci' }, 'image-gone'],
  ['ends with its token', { kind: 'token', name: 'token:gone' }, 'token-revoked'],
  ['ends with its rule', { kind: 'oidc', name: 'github:acme/shop' }, 'unauthorized'],
  ['of the operator goes on', { kind: 'operator', name: 'operator' }, 'image-gone'],
] as const)('after a restart a rollout %s', async (_, triggeredBy, code) => {
  await using store = openSqliteStore(':memory:')
  await using table = await TokenTable.open({ store: store.tokens, log })
  const tokens = new Tokens(table, store.teams)
  for (const name of ['ci', 'gone']) await tokens.create(operator, NewToken.parse({ name }))
  await tokens.revoke(operator, 'gone')
  const target = { app: 'shop', options: DeploymentOptions.parse({}), deployment: 'd1' }
  const rollout = {
    source: { image: 'registry.test/a:1' },
    build: null,
    parallel: 1,
    maxFailures: 1,
  }
  await store.rollouts.create(
    { id: 'r1', ...rollout, triggeredBy, targets: [target] },
    { requestBody: 1, idempotencyKey: null },
  )

  const submissions = {
    async deployExisting({ proof }: Principal) {
      proof?.assertHolds()
      throw new Problem('image-gone', 'It would begin.')
    },
  } as unknown as Submissions
  const proofOf = proofAfterRestart({ tokens, rules: { all: () => [] } })
  await using rollouts = await Rollouts.start({
    store,
    submissions,
    cancel: async () => {},
    log,
    proofOf,
  })
  await vi.waitFor(() => expect(rollouts.running).toBe(0))
  expect((await rollouts.find('r1')).targets[0]!.problem).toMatchObject({ code })
})
