import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { ownerAppName } from '../../../gateway/src/deployments/owners/owner-names.ts'
import { previewIdIn } from '../../../gateway/src/deployments/previews/preview-names.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const key = new Uint8Array(32)
const owners = {
  setting: 'app-per-owner' as const,
  nameOf: (target: { app: string; owner: string }) => ownerAppName(key, target),
}
const source = { digest: 'sha256:aa', files: 1, sizeBytes: 0 }
const fresh = (id: string, owner: string | null) => ({
  id,
  app: 'shop',
  options: DeploymentOptions.parse({ owner }),
  source,
})

test('the name of an owner’s app fits Fly, differs by app, owner and key, and is no preview’s', () => {
  const of = (app: string, owner: string) => ownerAppName(key, { app, owner })
  expect(of('shop', 'ada')).toMatch(/^shop-ada-ow-[0-9a-hjkmnp-tv-z]{12}$/)
  expect(of('shop', 'ada')).toBe(of('shop', 'ada'))
  const names = [of('shop', 'ada'), of('shop', 'bob'), of('shop-ada', 'x1'), of('shop', 'ada-x1')]
  names.push(ownerAppName(new Uint8Array(32).fill(1), { app: 'shop', owner: 'ada' }))
  names.push(of('a'.repeat(62), 'b'.repeat(63)), of('a'.repeat(62), 'c'.repeat(63)))
  expect(new Set(names).size).toBe(7)
  for (const name of names) {
    expect(name).toMatch(/^[a-z][a-z0-9-]{1,61}[a-z0-9]$/)
    expect(previewIdIn(name)).toBe(null)
  }
})

test('an owner that deployed before owners had apps of their own stays in the shared app', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-owners-'))
  const path = join(dir, 'tarmac.db')
  const folder = join(import.meta.dirname, '../../../gateway/src/store/migrations')
  const files = readdirSync(folder).toSorted()
  const before = files.slice(0, files.indexOf('0026-owner-apps.sql'))
  {
    using db = new DatabaseSync(path)
    db.exec('PRAGMA journal_mode = WAL')
    for (const file of before) db.exec(readFileSync(join(folder, file), 'utf8'))
    db.exec(`PRAGMA user_version = ${before.length}; INSERT INTO apps (app) VALUES ('shop')`)
    const body = JSON.stringify({ options: DeploymentOptions.parse({ owner: 'old' }), source })
    const at = '2026-01-01T00:00:00.000Z'
    db.prepare(
      `INSERT INTO deployments (id, app, owner, number, state, created_at, updated_at, ended_at, last_seq, body)
       VALUES ('d1', 'shop', 'old', 1, 'deploy_failed', ?1, ?1, ?1, 0, ?2)`,
    ).run(at, body)
  }
  {
    await using store = openSqliteStore(path, { owners })
    expect((await store.find('d1'))!.flyApp).toBe('shop')
    expect((await store.create(fresh('d2', 'old'))).flyApp).toBe('shop')
    expect((await store.create(fresh('d3', 'ada'))).flyApp).toBe(
      owners.nameOf({ app: 'shop', owner: 'ada' }),
    )
    expect((await store.create(fresh('d4', null))).flyApp).toBe('shop')
    expect(store.ownerApps.list('shop').map(({ owner }) => owner)).toEqual(['ada'])
  }
  rmSync(dir, { recursive: true })
})

test('the table is written with the deployment, or not at all', async () => {
  await using store = openSqliteStore(':memory:', { owners, quotas: { 'builds-per-day': 1 } })
  await store.create(fresh('d1', 'ada'))
  await expect(store.create(fresh('d2', 'bob'))).rejects.toMatchObject({ code: 'quota-reached' })
  expect(store.ownerApps.list('shop').map(({ owner }) => owner)).toEqual(['ada'])

  const { flyApp } = store.ownerApps.list('shop')[0]!
  expect(store.ownerApps.targetOf(flyApp)).toEqual({ app: 'shop', owner: 'ada' })
  store.ownerApps.forget({ app: 'shop', owner: null })
  expect(store.ownerApps.list('shop')).toEqual([])
  // The name stays the owner's.
  expect(store.ownerApps.targetOf(flyApp)).toEqual({ app: 'shop', owner: 'ada' })
  await expect(store.create({ ...fresh('d3', null), app: flyApp })).rejects.toThrow(
    'tarmac deploy shop --owner ada',
  )
})
