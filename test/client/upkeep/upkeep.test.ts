import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test, vi } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { portOf } from '../../../gateway/src/host/port-of.ts'
import { freePort } from '../../../lab/parts/ports.ts'
import { databaseIn } from '../../../gateway/src/store/backup.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'
import { startEnv } from '../../start-env.ts'

// `tarmac backup` and `tarmac restore` as processes, against a real gateway process.

vi.setConfig({ testTimeout: 60_000 })

const root = join(import.meta.dirname, '../../..')
const token = 'a-token-for-the-tests'
const newFolder = () => mkdtempSync(join(tmpdir(), 'tarmac-upkeep-'))

/** Writes the records of a volume, as of deployments that have ended. */
async function write(dir: string, ...ids: string[]): Promise<void> {
  await using store = openSqliteStore(databaseIn(dir))
  for (const id of ids) {
    await store.create({ id, app: id, options: DeploymentOptions.parse({}), source: null })
    await store.requestCancel(id, { by: null, why: null, abort: false })
  }
}

/** Reads the records beside a gateway, which a store would not do: it takes the file for itself. */
function ids(dir: string): string[] {
  using db = new DatabaseSync(databaseIn(dir), { readOnly: true, timeout: 5000 })
  return db
    .prepare('SELECT id FROM deployments')
    .all()
    .map(({ id }) => String(id))
}

async function startGateway(dir: string, port = 0) {
  const settings = {
    TARMAC_DATA: dir,
    TARMAC_PORT: String(port),
    TARMAC_CONTEXT_PORT: '0',
    TARMAC_BUILDKIT: `unix://${dir}/none`,
    TARMAC_BUILD_BRIDGE: '',
    TARMAC_PLAN_NETWORK: 'none',
    TARMAC_TOKENS: token,
  }
  const child = spawn(process.execPath, [join(root, 'gateway/src/main.ts')], {
    env: { ...startEnv, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let log = ''
  child.stdout.on('data', (chunk: Buffer) => (log += chunk.toString()))
  const urls = () => [...log.matchAll(/"url":"([^"]+)"/g)].map(([, url]) => url!)
  await expect.poll(() => urls().length, { timeout: 30_000 }).toBe(1)
  return {
    url: urls()[0]!,
    child,
    log: () => log,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

async function tarmac(url: string, folder: string, ...args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [join(root, 'client/src/main.ts'), ...args], {
    cwd: folder,
    env: { ...startEnv, TARMAC_GATEWAY: url, TARMAC_TOKEN: token },
  })
  const said = { out: '', err: '' }
  child.stdout!.on('data', (chunk: Buffer) => (said.out += chunk.toString()))
  child.stderr!.on('data', (chunk: Buffer) => (said.err += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number]
  return { code, ...said }
}

test('a backup is a private file with everything but the token; a restore says what would be lost, then replaces', async () => {
  const [dir, folder] = [newFolder(), newFolder()]
  await write(dir, 'saved')
  const file = join(folder, 'records.db')
  {
    await using gateway = await startGateway(dir)
    const made = await tarmac(gateway.url, folder, 'backup', 'records.db')
    expect([made.code, made.out]).toEqual([0, `${file}\n`])
    expect(made.err).toMatch(
      /of records, complete \(SHA-256 checked\)\. It holds .*not hold the token/,
    )
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readFileSync(file).includes(token)).toBe(false)

    const again = await tarmac(gateway.url, folder, 'backup', 'records.db')
    expect([again.code, again.err]).toEqual([
      2,
      `tarmac: ${file} already exists. Name a new file.\n`,
    ])
    const named = await tarmac(gateway.url, folder, 'backup')
    expect(named.out).toMatch(/\/tarmac-[\dT-]+\.db\n$/)
    expect(readdirSync(join(dir, 'copies'))).toEqual([])
  }

  await write(dir, 'newer')
  // The port stays the same over the restart, as on Fly.
  await using gateway = await startGateway(dir, await freePort(20_000 + (process.pid % 20_000)))
  const refused = await tarmac(gateway.url, folder, 'restore', 'records.db')
  expect(refused.code).toBe(4)
  expect(refused.err).toMatch(
    /drained[^]*takes work again[^]*records that this backup lacks: 1 deployments, 0 build secrets\. The newest is newer of newer/,
  )
  writeFileSync(join(folder, 'other.db'), 'hello')
  const strange = await tarmac(gateway.url, folder, 'restore', 'other.db')
  expect(strange.code).toBe(4)
  expect(strange.err).toMatch(/^tarmac: \S+other\.db is no backup: [^]*Nothing was sent\.\n$/)
  writeFileSync(join(folder, 'torn.db'), 'SQLite format 3\0 and no more')
  const torn = await tarmac(gateway.url, folder, 'restore', 'torn.db')
  expect(torn.code).toBe(4)
  expect(torn.err).toMatch(/as its records\. It is damaged \([^)]+\)\. Nothing was changed\.\n$/)

  const done = await tarmac(gateway.url, folder, 'restore', 'records.db', '--over-newer', '--json')
  expect([done.code, JSON.parse(done.out.trim().split('\n').at(-1)!)]).toEqual([
    0,
    expect.objectContaining({ type: 'result', deployments: 1 }),
  ])
  const headers = { Authorization: `Bearer ${token}` }
  const known = (id: string) => fetch(`${gateway.url}/v1/deployments/${id}`, { headers })
  expect([(await known('saved')).status, (await known('newer')).status]).toEqual([200, 404])
  expect(gateway.log()).toContain('records restored from a backup')
})

test('a restored builder works on with the records of the file; kill -9 right after the answer loses nothing', async () => {
  const [dir, saved, folder] = [newFolder(), newFolder(), newFolder()]
  await write(saved, 'saved')
  await write(dir, 'newer')
  const file = join(folder, 'records.db')
  {
    await using gateway = await startGateway(saved)
    expect((await tarmac(gateway.url, folder, 'backup', file)).code).toBe(0)
  }

  const gateway = await startGateway(dir)
  const headers = { Authorization: `Bearer ${token}` }
  const put = (query: string) =>
    fetch(`${gateway.url}/v1/backup${query}`, {
      method: 'PUT',
      headers,
      body: new Uint8Array(readFileSync(file)),
    })
  expect(await (await put('?over-newer=true')).json()).toMatchObject({ code: 'not-drained' })
  await fetch(`${gateway.url}/v1/drain`, { method: 'POST', headers })
  expect(await (await put('?over-newer=true')).json()).toMatchObject({
    deployments: 1,
    newer: { deployments: 1 },
  })
  gateway.child.kill('SIGKILL')
  await once(gateway.child, 'exit')

  await using next = await startGateway(dir)
  expect(next.log()).toContain('listens')
  expect(existsSync(`${databaseIn(dir)}-restoring`)).toBe(false)
  expect(ids(dir)).toEqual(['saved'])
  expect(readdirSync(dir).filter((name) => name.startsWith('tarmac.db.before-'))).not.toEqual([])
})

test('a backup whose answer is cut leaves no file, and is not called a fault of the disk', async () => {
  const folder = newFolder()
  const server = createServer((_request, response) => {
    response.writeHead(200, {
      'content-length': 1000,
      'content-disposition': 'attachment; filename="records.db"',
      'repr-digest': `sha-256=:${'A'.repeat(43)}=:`,
    })
    response.write('half', () => response.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = await tarmac(`http://127.0.0.1:${portOf(server)}`, folder, 'backup')
  server.close()
  expect(cut.err).toMatch(
    /The backup did not arrive whole: .*\. Nothing was kept\. Run the command/,
  )
  expect(cut.code).not.toBe(0)
  expect(readdirSync(folder)).toEqual([])
})
