import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readConfig } from '../../gateway/src/config.ts'
import { startGateway } from '../../gateway/src/gateway.ts'
import { openLog } from '../../gateway/src/log.ts'
import { databaseIn } from '../../gateway/src/store/backup.ts'
import { openDatabase } from '../../gateway/src/store/open-database.ts'

test('a failed sweep stops neither the gateway’s start nor its other cleanup', async () => {
  await using closing = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-gateway-'))
  closing.defer(() => rm(dir, { recursive: true }))
  {
    using db = openDatabase(databaseIn(dir))
    // A deployment that has waited too long, and cannot be ended.
    db.exec(`
      INSERT INTO apps (app) VALUES ('shop');
      INSERT INTO deployments (id, app, number, state, created_at, updated_at, body)
        VALUES ('d1', 'shop', 1, 'pending', '2020', '2020', '{"options":{}}');
      CREATE TRIGGER broken BEFORE UPDATE OF state ON deployments BEGIN SELECT RAISE(ABORT, 'broken'); END`)
  }
  const logged: string[] = []
  const log = openLog('error', { write: (line: string) => void logged.push(line) })
  const settings = {
    TARMAC_DATA: dir,
    TARMAC_PORT: '0',
    TARMAC_CONTEXT_PORT: '0',
    TARMAC_BUILDKIT: `unix://${dir}/none`,
    TARMAC_BUILD_BRIDGE: '',
    TARMAC_PLAN_NETWORK: 'none',
  }
  const gateway = closing.use(await startGateway(readConfig(settings), log))
  expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200)
  await expect.poll(() => existsSync(join(dir, 'ballast')), { timeout: 10_000 }).toBe(true)
  await expect.poll(() => logged.join('')).toContain('sweep failed')
})
