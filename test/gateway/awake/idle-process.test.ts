import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import { databaseIn } from '../../../gateway/src/store/backup.ts'
import { FakeFly } from '../../fakes/machines-api.ts'
import { FakeRegistry } from '../../fakes/registry.ts'
import { amount } from '../../long.ts'
import { startEnv } from '../../start-env.ts'

// The gateway in its own process under keep-running.sh, as in the appliance. It has no build
// daemon, so deployments wait, and waiting keeps it awake.

const gatewayFolder = join(import.meta.dirname, '../../../gateway')
const idleMs = 300

type Host = { dir: string; fly: FakeFly; images: FakeRegistry }

async function openHost(closing: AsyncDisposableStack): Promise<Host> {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-idle-'))
  closing.defer(() => rm(dir, { recursive: true }))
  const fly = closing.use(await FakeFly.start())
  return { dir, fly, images: closing.use(await FakeRegistry.start()) }
}

/** Starts the gateway and waits until it listens. */
async function start({ dir, fly, images }: Host, settings: Record<string, string> = {}) {
  const log = join(dir, `gateway-${randomUUID()}.log`) // not one that an earlier gateway has filled
  const child = spawn(
    'sh',
    ['-c', 'exec sh keep-running.sh "$0" src/main.ts > "$LOG" 2>&1', process.execPath],
    {
      cwd: gatewayFolder,
      env: {
        ...startEnv,
        LOG: log,
        TARMAC_DATA: join(dir, 'data'),
        TARMAC_PORT: '0',
        TARMAC_CONTEXT_PORT: '0',
        TARMAC_BUILDKIT: `unix://${dir}/none`,
        TARMAC_BUILD_BRIDGE: '',
        TARMAC_PLAN_NETWORK: 'none',
        TARMAC_FLY_API: fly.url,
        TARMAC_FLY_WEB_API: fly.url,
        TARMAC_FLY_TOKEN: 'secret',
        TARMAC_REGISTRY: images.host,
        TARMAC_IDLE_STOP: String(idleMs / 1000),
        TARMAC_RELEASE_LOOK: '0.01',
        ...settings,
      },
    },
  )
  const ended = once(child, 'exit').then(([code]) => Number(code))
  const logged = () => readFile(log, 'utf8').catch(() => '')
  let url = ''
  await expect
    .poll(
      async () => {
        url = /"url":"([^"]+)","msg":"gateway listens"/.exec(await logged())?.[1] ?? ''
        return url === '' ? await logged() : 'listens'
      },
      { timeout: 30_000, interval: 10 },
    )
    .toBe('listens')
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  return { url, ended, logged, [Symbol.asyncDispose]: stop }
}

/** Sends a request on a connection of its own. A text: the error of the connection. */
function ask(url: string, method: string, path: string, body?: object) {
  const headers = body ? { 'content-type': 'application/json' } : {}
  return new Promise<{ status: number; body: string } | string>((resolve) => {
    const call = request(url + path, { method, headers, agent: false })
    call.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    call.on('response', (answer) => {
      text(answer).then(
        (read) => resolve({ status: answer.statusCode!, body: read }),
        (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message),
      )
    })
    call.end(body && JSON.stringify(body))
  })
}

const recordsIn = ({ dir }: Host) => {
  using db = new DatabaseSync(databaseIn(join(dir, 'data')), { readOnly: true })
  const rows = db.prepare('SELECT id, state FROM deployments ORDER BY number').all()
  return rows.map(({ id, state }) => ({ id: String(id), state: String(state) }))
}

test(
  'an idle gateway ends by itself with 0, whatever health checks and strangers ask',
  { timeout: 60_000 },
  async () => {
    await using closing = new AsyncDisposableStack()
    const token = 'a-token-of-this-test'
    const settings = { TARMAC_TOKENS: token, TARMAC_IDLE_STOP: '2' }
    const gateway = closing.use(await start(await openHost(closing), settings))
    let [checks, refusals] = [0, 0]
    while ((await Promise.race([gateway.ended, sleep(20, null)])) === null) {
      const answers = [
        await ask(gateway.url, 'GET', '/healthz'),
        await ask(gateway.url, 'POST', '/v1/apps/shop/deployments'),
      ]
      for (const answer of answers)
        if (typeof answer !== 'string' && answer.status === 200) checks++
        else if (typeof answer !== 'string' && answer.status === 401) refusals++
        else expect(['ECONNREFUSED', 'ECONNRESET']).toContain(answer)
    }
    expect(await gateway.ended).toBe(0)
    expect([checks > 0, refusals > 0]).toEqual([true, true])
    expect(await gateway.logged()).toContain('"msg":"gateway is idle and stops"')
    expect(await gateway.logged()).not.toContain('it is started again')
  },
)

test(
  'no request around the moment of the stop is lost: each is accepted, and keeps the gateway awake, or refused before it is read',
  { timeout: amount(120_000, 3_600_000) },
  async () => {
    await using closing = new AsyncDisposableStack()
    const host = await openHost(closing)
    const image = host.images.put('shop', 'v1').name
    const path = '/v1/apps/shop/deployments'
    const asked = { source: { image }, lane: 'fifo' }
    const seen = { accepted: 0, refused: 0, reset: 0 }
    const accepted: string[] = []

    // Each round asks nearer to the moment of the stop: later after one that came in time.
    let afterMs = idleMs
    for (let round = 0; round < amount(6, 100); round++) {
      await using gateway = await start(host)
      await ask(gateway.url, 'GET', path) // from here the idle time runs
      await sleep(afterMs)
      const answers = await Promise.all(
        Array.from({ length: 4 }, () => ask(gateway.url, 'POST', path, asked)),
      )
      const own: string[] = []
      for (const answer of answers)
        if (typeof answer === 'string') {
          expect(['ECONNREFUSED', 'ECONNRESET']).toContain(answer)
          seen[answer === 'ECONNRESET' ? 'reset' : 'refused']++
        } else {
          expect(answer, answer.body).toMatchObject({ status: 202 })
          own.push((JSON.parse(answer.body) as Deployment).id)
        }
      seen.accepted += own.length
      accepted.push(...own)
      afterMs += own.length > 0 ? 7 : -5

      // What was accepted waits, for longer than the idle time, and the gateway with it.
      if (own.length > 0) {
        await sleep(2 * idleMs)
        for (const id of own)
          expect(await ask(gateway.url, 'POST', `/v1/deployments/${id}/cancel`)).toMatchObject({
            status: 200,
          })
      }
      expect(await gateway.ended).toBe(0)
    }

    const records = recordsIn(host)
    expect(new Set(records.map(({ id }) => id))).toEqual(new Set(accepted))
    expect(records.length).toBe(accepted.length)
    expect(new Set(records.map(({ state }) => state))).toEqual(
      new Set(accepted.length > 0 ? ['cancelled'] : []),
    )
    console.log(`around the stop: ${JSON.stringify(seen)}`)
  },
)

test(
  'a gateway with unfinished work that was left by a crash does not stop',
  { timeout: 60_000 },
  async () => {
    await using closing = new AsyncDisposableStack()
    const host = await openHost(closing)
    const image = host.images.put('shop', 'v1').name
    {
      await using first = await start(host, { TARMAC_IDLE_STOP: 'off' })
      await ask(first.url, 'POST', '/v1/apps/shop/deployments', { source: { image } })
    }
    const [left] = recordsIn(host)
    expect(left).toMatchObject({ state: 'pending' })

    const gateway = closing.use(await start(host))
    await sleep(3 * idleMs)
    const cancelled = await ask(gateway.url, 'POST', `/v1/deployments/${left!.id}/cancel`)
    expect(cancelled, JSON.stringify(cancelled)).toMatchObject({ status: 200 })
    expect(await gateway.ended).toBe(0)
  },
)
