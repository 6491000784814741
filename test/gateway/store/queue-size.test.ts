import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { queueLimits } from '../../../gateway/src/deployments/size-limits.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const env = { A: '\x01'.repeat(43_000), B: '\x01'.repeat(43_000) }
const large = DeploymentOptions.parse({ lane: 'fifo', env })
const small = DeploymentOptions.parse({})

test('an app whose records would take more than its room in the queue is refused until one has ended; others are not', async () => {
  await using store = openSqliteStore(':memory:')
  const make = (id: string) => store.create({ id, app: 'shop', options: large, source: null })
  let made = 0
  const fill = async () => {
    for (;;) await make(`d${made++}`)
  }
  await expect(fill()).rejects.toMatchObject({
    code: 'queue-full',
    facts: { limitBytes: queueLimits.app.bytes },
  })
  expect(made).toBeGreaterThan(400)

  const announced = { app: 'shop', options: small, idempotencyKey: null }
  await store.refuseBusyLane(announced) // a small one still fits
  await store.create({ id: 'other', app: 'other', options: large, source: null })
  await store.requestCancel('d0', { by: null, why: null, abort: false })
  await make('again')
  await expect(make('more')).rejects.toMatchObject({ code: 'queue-full' })
}, 60_000)

test('the sums that limit the queue match its records, whatever happens to them', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-queue-'))
  const file = join(dir, 'tarmac.db')
  {
    await using store = openSqliteStore(file)
    using db = new DatabaseSync(file)
    const kept = () =>
      db.prepare("SELECT app, count, bytes FROM queue_sizes WHERE count > 0 AND app <> ''").all()
    const real = () =>
      db
        .prepare(
          `SELECT app, count(*) AS count, sum(octet_length(body)) AS bytes FROM deployments WHERE ended_at IS NULL
           GROUP BY app ORDER BY app`,
        )
        .all()
    const all = () => db.prepare("SELECT count, bytes FROM queue_sizes WHERE app = ''").get()
    for (const app of ['a', 'b', 'c'])
      await store.create({ id: `${app}1`, app, options: small, source: null })
    await store.create({ id: 'a2', app: 'a', options: small, source: null }) // supersedes a1
    const { deployment, epoch } = (await store.claim())!
    await store.amend({ id: deployment.id, epoch }, { bases: { 'r/é': 'sha256:aa' } })
    await store.requestCancel('c1', { by: 'é', why: null, abort: false })
    expect(kept()).toEqual(real())
    expect(kept()).toHaveLength(2)
    for (const id of ['a2', 'b1'])
      await store.requestCancel(id, { by: null, why: null, abort: false })
    await store.recover('The gateway was killed')
    expect([kept(), all()]).toEqual([[], { count: 0, bytes: 0 }])

    await store.create({ id: 'b2', app: 'b', options: small, source: null })
    db.prepare("UPDATE queue_sizes SET count = ? WHERE app = ''").run(queueLimits.all.count)
    const refused = { code: 'queue-full', facts: { limitCount: queueLimits.all.count } }
    await expect(
      store.create({ id: 'd', app: 'd', options: small, source: null }),
    ).rejects.toMatchObject(refused)
    const early = store.refuseBusyLane({ app: 'd', options: small, idempotencyKey: null })
    await expect(early).rejects.toMatchObject(refused)
  }
  rmSync(dir, { recursive: true })
})
