import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MachinesApi } from '#fly/machines-api.ts'
import { openRuntime } from '../../gateway/src/commands/runtime/open-runtime.ts'
import { readSecrets } from '../../gateway/src/commands/runtime/read-secrets.ts'
import { operator } from '../../gateway/src/callers/principal.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { startLocalfly } from '../../lab/localfly/start.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { flyctlAt, hasFlyctl } from '../flyctl.ts'
import { deployed } from '../gateway/deploy/deployed.ts'
import { pushPage } from './perl-image.ts'

const token = 'secret-fly'
const ports = { apiPort: 9621, proxyPort: 9622, registryFrontPort: 9623, controlPort: 9624 }
const url = `http://127.0.0.1:${ports.apiPort}`
const app = 'seen-by-both'

describe('secrets on localfly', { timeout: 300_000 }, () => {
  const open = new AsyncDisposableStack()
  const dir = mkdtempSync(join(tmpdir(), 'runtime-secrets-'))
  const store = open.use(openSqliteStore(':memory:'))
  const fly = open.use(new MachinesApi({ baseUrl: url, token }))
  const absent = () => Promise.reject(new Error('not part of this test'))
  const target = { app, owner: null }
  type OpenDeps = Parameters<typeof openRuntime>[0]
  const runtime = openRuntime({
    fly,
    deployer: { machineOwners: async () => [] },
    store,
    submissions: { deployExisting: absent },
    drain: { whileOpen: (command: unknown) => command },
    runner: { cancel: absent },
  } as unknown as OpenDeps)
  const signal = AbortSignal.timeout(290_000)
  const set = (values: Record<string, string | null>) =>
    runtime.changeSecrets(operator, target, {
      values: new Map(Object.entries(values)),
      deploy: false,
    })
  const names = async () =>
    (await runtime.secrets(operator, target)).secrets.map(({ name, changedBy }) => [
      name,
      changedBy,
    ])
  let image = ''

  beforeAll(async () => {
    const registry = open.use(await startRegistry({ dir, port: 9620 })).address
    const local = open.use(await startLocalfly({ dir, name: 'secrets', registry, token, ...ports }))
    await fly.createApp({ name: 'images', org: 'personal', network: null }, signal)
    image = await pushPage(local.registry, token, 'images', 'one')
  })
  afterAll(async () => {
    await open.disposeAsync() // rejects when an answer broke Fly's schema
    rmSync(dir, { recursive: true, force: true })
  })

  /** Deploys as the pipeline does, with the version of the secrets that the gateway knows. */
  async function deploy(number: number) {
    const { secrets, version } = await readSecrets(app, { fly, store }, signal)
    const digests = secrets.map(({ name, digest }) => ({ name, digest }))
    const flyToml = 'primary_region = "ams"\n[http_service]\ninternal_port = 8080\n'
    const asked = { app, token, number, image, flyToml, watchMs: 300, waitMs: 20_000 }
    await deployed({ url }, { ...asked, secrets: { version, digests } })
  }

  test('a machine gets the values that were set, after a deployment and not before', async () => {
    await fly.createApp({ name: app, org: 'personal', network: null }, signal)
    await set({ WORD: 'first', GONE: 'x' })
    await deploy(1)
    expect(await page('/env/WORD')).toBe('first')

    await set({ WORD: 'second', GONE: null })
    expect(await page('/env/WORD')).toBe('first')
    await deploy(2)
    expect(await page('/env/WORD')).toBe('second')
    expect(await page('/env/GONE')).toBe('')
    expect((await store.runtimeSecrets.find(app))?.version).toBe(2)
  })

  test('a wrong name is refused by Fly too', async () => {
    const wrong = fly.changeSecrets(app, new Map([['A-B', 'x']]), signal)
    await expect(wrong).rejects.toMatchObject({ code: 'fly-refused' })
  })

  test.skipIf(!hasFlyctl)('flyctl and Tarmac see each other’s secrets', async () => {
    const flyctl = flyctlAt(url, token)
    try {
      await set({ OURS: 'a' })
      expect(await flyctl.run(`secrets list -a ${app}`)).toMatch(/WORD[^]*OURS/)
      await flyctl.run(`secrets set THEIRS=b WORD=third --stage -a ${app}`)
      expect(await names()).toEqual([
        ['OURS', null],
        ['THEIRS', null],
        ['WORD', null],
      ])
      const { secrets } = await runtime.secrets(operator, target)
      const digests = await flyctl.run(`secrets list -a ${app}`)
      for (const { digest } of secrets) expect(digests).toContain(digest)

      // Tarmac learns the version that flyctl has made.
      await runtime.deploySecrets(operator, target)
      const { version } = (await store.runtimeSecrets.find(app))!
      expect(version).toBe(5)
      await deploy(3)
      expect(await page('/env/THEIRS')).toBe('b')
      expect(await page('/env/WORD')).toBe('third')

      await set({ OURS: null })
      expect(await flyctl.run(`secrets list -a ${app}`)).not.toContain('OURS')
      await flyctl.run(`secrets unset THEIRS --stage -a ${app}`)
      expect((await names()).map(([name]) => name)).toEqual(['WORD'])
    } finally {
      await flyctl.end()
    }
  })

  const page = async (path: string): Promise<string> => {
    const headers = { host: `${app}.localhost:${ports.proxyPort}` }
    const call = request({ host: '127.0.0.1', port: ports.proxyPort, path, headers }).end()
    return text((await once(call, 'response'))[0])
  }
})
