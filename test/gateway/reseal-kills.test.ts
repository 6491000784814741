import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { SealingStatus } from '../../api/sealing/sealing.ts'
import { SealingKeys } from '../../gateway/src/secrets/sealing.ts'
import { Vault } from '../../gateway/src/secrets/vault.ts'
import { databaseIn } from '../../gateway/src/store/backup.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { amount } from '../long.ts'
import { startEnv } from '../start-env.ts'

const main = join(import.meta.dirname, '../../gateway/src/main.ts')
const token = 'a-token-for-the-tests'

/** A real gateway on this volume. It has no build daemon, no registry and no Fly. */
async function startGateway(dir: string, keys: Record<string, string>) {
  const child: ChildProcess = spawn(process.execPath, [main], {
    env: {
      ...startEnv,
      TARMAC_DATA: dir,
      TARMAC_PORT: '0',
      TARMAC_CONTEXT_PORT: '0',
      TARMAC_TOKENS: token,
      TARMAC_BUILDKIT: `unix://${dir}/none`,
      TARMAC_BUILD_BRIDGE: '',
      TARMAC_PLAN_NETWORK: 'none',
      TARMAC_FLY_API: 'http://127.0.0.1:9',
      TARMAC_FLY_WEB_API: 'http://127.0.0.1:9',
      TARMAC_FLY_TOKEN: 'secret',
      TARMAC_REGISTRY: '127.0.0.1:9',
      ...keys,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = once(child, 'exit')
  let printed = ''
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (text) => {
        printed += String(text)
        const found = /"url":"([^"]+)","msg":"gateway listens"/.exec(printed)?.[1]
        if (found) resolve(found)
      })
    ended.then(() => reject(new Error(`The gateway ended: ${printed.slice(-2000)}`)), reject)
  })
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  const sealing = async () => {
    const headers = { Authorization: `Bearer ${token}` }
    const answer = await fetch(`${url}/v1/status`, { headers })
    return ((await answer.json()) as { sealing: SealingStatus }).sealing
  }
  return { kill, sealing, printed: () => printed }
}

test(
  'a real gateway that is killed while it seals with a new key loses no value',
  { timeout: amount(60_000, 300_000) },
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tarmac-reseal-'))
    const [first, second] = [randomBytes(32), randomBytes(32)]
    const values = new Map(Array.from({ length: 90 }, (_, at) => [`K${at}`, `value ${at}`]))
    const apps = Array.from({ length: 20 }, (_, at) => `app-${at}`)
    /** How many values open with these keys. */
    const opened = async (keys: SealingKeys) => {
      await using store = openSqliteStore(databaseIn(dir))
      const vault = new Vault(store, keys)
      const all = await Promise.all(apps.map((app) => vault.open({ id: 'none', app })))
      return all.flatMap((secrets) =>
        [...secrets].filter(([name, value]) => value.toString() === values.get(name)),
      ).length
    }

    const old = { TARMAC_SECRETS_KEY: first.toString('base64') }
    {
      await using store = openSqliteStore(databaseIn(dir))
      const vault = new Vault(store, new SealingKeys(first))
      for (const app of apps) await vault.change(app, values)
    }
    const both = {
      TARMAC_SECRETS_KEY: second.toString('base64'),
      TARMAC_SECRETS_OLD_KEYS: first.toString('base64'),
    }
    for (let left = 1800, kills = 0; kills < amount(1, 10) && left > 0; kills++) {
      const gateway = await startGateway(dir, both)
      const isAtWork = async () => (await gateway.sealing()).withOldKeys < left
      await expect.poll(isAtWork, { timeout: 20_000, interval: 5 }).toBe(true)
      left = (await gateway.sealing()).withOldKeys
      await gateway.kill()
      expect(await opened(new SealingKeys(second, [first]))).toBe(1800)
    }

    const last = await startGateway(dir, both)
    await expect.poll(async () => (await last.sealing()).withOldKeys, { timeout: 20_000 }).toBe(0)
    expect(await last.sealing()).toMatchObject({ values: 1800, oldKeys: 1, problem: null })
    await last.kill()
    expect(await opened(new SealingKeys(second))).toBe(1800)

    // The wrong key, and no old one: it starts, and says what it cannot open.
    const early = await startGateway(dir, old)
    expect((await early.sealing()).problem).toContain('1800 sealed values cannot be opened')
    expect(early.printed()).toContain('sealed values cannot be opened')
    await early.kill()
    expect(await opened(new SealingKeys(second))).toBe(1800)
    rmSync(dir, { recursive: true })
  },
)
