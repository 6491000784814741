import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { ExposureApi } from '#fly/exposure/exposure-api.ts'
import { MachinesApi } from '#fly/machines-api.ts'
import { overUndici } from '#fly/undici-transport.ts'
import { DailyLook } from '../../gateway/src/drift/daily-look.ts'
import { Drift } from '../../gateway/src/drift/drift.ts'
import { openLog } from '../../gateway/src/log.ts'
import { openSqliteStore } from '../../gateway/src/store/sqlite.ts'
import { startLocalfly } from '../../lab/localfly/start.ts'
import { flyctlAt, hasFlyctl } from '../flyctl.ts'

const token = 'secret-fly'
const ports = { apiPort: 9631, proxyPort: 9632, registryFrontPort: 9633, controlPort: 9634 }
const url = `http://127.0.0.1:${ports.apiPort}`
const app = 'reached'

describe('drift on localfly, within Fly’s request limits', { timeout: 300_000 }, () => {
  const open = new AsyncDisposableStack()
  const dir = mkdtempSync(join(tmpdir(), 'drift-'))
  const log = openLog('silent')
  const store = open.use(openSqliteStore(':memory:'))
  const fly = open.use(new MachinesApi(overUndici(url, token)))
  const at = { machines: overUndici(url, token), web: overUndici(url, token) }
  const exposure = open.use(new ExposureApi(at))
  const drift = new Drift({ fly, exposure, store, log })
  const signal = AbortSignal.timeout(290_000)
  let local: Awaited<ReturnType<typeof startLocalfly>>

  const api = async (method: string, path: string, body?: object) => {
    const headers = { authorization: `Bearer ${token}` }
    const sent = body && { body: JSON.stringify(body) }
    const answer = await fetch(`${url}/v1${path}`, { method, headers, ...sent })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? null : JSON.parse(text) }
  }
  const codes = async () => {
    const { findings } = await drift.report(app, signal)
    return findings.map(({ code, subject }) => `${code} ${subject}`).toSorted()
  }

  beforeAll(async () => {
    const registry = '127.0.0.1:9630'
    local = open.use(await startLocalfly({ dir, name: 'drift', registry, token, ...ports }))
    await fly.createApp({ name: app, org: 'personal', network: 'pr-7' }, signal)
    await store.releases.recordCreatedApp(app, (await fly.app(app, signal))!.id!)
    await fly.assignIp(app, { type: 'private_v6', network: 'pr-7' }, signal)
    const image = { reference: 'r/web@sha256:aa', digest: 'sha256:aa', tags: [] }
    const options = DeploymentOptions.parse({})
    await store.create({ id: 'd1', app, options, source: null, image })
    const { epoch } = (await store.claim())!
    await store.advance({ id: 'd1', epoch }, 'deploying', 'verifying')
    const release = { desired: { version: 1, groups: [] }, secrets: [] }
    await store.advance({ id: 'd1', epoch }, 'verifying', 'live', { release })
  })
  afterAll(async () => {
    await open.disposeAsync() // rejects when an answer broke Fly's schema
    rmSync(dir, { recursive: true, force: true })
  })

  test('a hostname goes its way from request to certificate, and the daily look follows it', async () => {
    await using daily = await DailyLook.start({
      drift,
      ownerRoutes: { sync: async () => null },
      store,
      log,
    })
    await daily.look()
    expect(await codes()).toEqual([])

    const made = await api('POST', `/apps/${app}/certificates/acme`, { hostname: 'shop.org' })
    expect(made).toMatchObject({
      status: 201,
      body: { configured: false, status: 'pending_validation', certificates: [] },
    })
    expect(await codes()).toEqual(['certificate-dns shop.org', 'certificate-new shop.org'])
    await drift.accept(app, signal)
    expect(await codes()).toEqual(['certificate-dns shop.org'])

    await local.fly.certificate({ app, hostname: 'shop.org', dns: { alpn: true, http: true } })
    const check = await api('POST', `/apps/${app}/certificates/shop.org/check`)
    expect(check.body).toMatchObject({ configured: true, certificates: [{ source: 'fly' }] })
    await drift.lookDaily(app, signal)
    expect(await codes()).toEqual([])
    const events = await store.eventsAfter('d1', 0, 100)
    expect(events.flatMap((each) => (each.type === 'drift' ? each.text : []))).toEqual([
      expect.stringMatching(/^drift begins: DNS does not lead shop\.org/),
      'drift has ended: certificate-dns of shop.org',
    ])

    expect(await api('DELETE', `/apps/${app}/certificates/shop.org`)).toMatchObject({ status: 204 })
    expect(await codes()).toEqual(['certificate-gone shop.org'])
    expect(await api('GET', `/apps/${app}/certificates/shop.org`)).toMatchObject({ status: 404 })
  })

  test.skipIf(!hasFlyctl)('what flyctl does to addresses and hostnames is found', async () => {
    const flyctl = flyctlAt(url, token)
    try {
      await drift.accept(app, signal)
      await flyctl.run(`certs add hand.org -a ${app}`)
      await flyctl.run(`ips allocate-v6 --private -a ${app}`)
      expect(await flyctl.run(`certs list -a ${app}`)).toMatch(/hand\.org +Fly +Not verified/)
      expect(await codes()).toEqual([
        'certificate-dns hand.org',
        'certificate-new hand.org',
        'flycast-network ' + (await otherAddress()),
        'flycast-several flycast',
      ])

      // What the findings advise.
      await flyctl.run(`ips release ${await otherAddress()} -a ${app}`)
      await flyctl.run(`certs remove hand.org -y -a ${app}`)
      expect(await codes()).toEqual([])
    } finally {
      await flyctl.end()
    }
  })

  const otherAddress = async (): Promise<string> => {
    const { ips } = await drift.report(app, signal)
    const found = ips.find(({ network }) => network && 'name' in network && network.name !== 'pr-7')
    return found!.ip
  }
})
