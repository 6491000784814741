import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { ExposureApi } from '#fly/exposure/exposure-api.ts'
import { MachinesApi } from '#fly/machines-api.ts'
import { Drift } from '../../../gateway/src/drift/drift.ts'
import { DailyLook } from '../../../gateway/src/drift/daily-look.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'
import { CertificateOrder, setCertificate } from '../../../lab/localfly/certificates.ts'
import { startSmallFly } from '../../../lab/localfly/start-small.ts'

const token = 'secret'
const image = { reference: 'r/web@sha256:aa', digest: 'sha256:aa', tags: [] }

/** Each call has its own client, so that none waits for Fly's limits. */
const eachTime = <T extends object>(make: () => T): T =>
  new Proxy(make(), {
    get: (_, name) => {
      const client = make()
      return (Reflect.get(client, name) as () => unknown).bind(client)
    },
  })

/** Drift over localfly without containers, and a store whose apps have a release each. */
export async function startDrift() {
  await using opening = new AsyncDisposableStack()
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-drift-'))
  opening.defer(() => rm(dir, { recursive: true }))
  const local = opening.use(await startSmallFly(dir, { token }))
  const at = { baseUrl: local.flyApi, token }
  const fly = eachTime(() => new MachinesApi(at))
  const exposure = eachTime(() => new ExposureApi({ machines: at, web: at }))
  const store = opening.use(openSqliteStore(':memory:'))
  const log = { info: vi.fn(), warn: vi.fn() }
  const clock = { ms: Date.parse('2026-11-30T05:00:00Z') }
  const now = () => clock.ms
  const drift = new Drift({ fly, exposure, store, log, now })
  const signal = AbortSignal.timeout(20_000)
  const open = opening.move()
  return {
    local,
    fly,
    store,
    log,
    clock,
    drift,
    signal,
    /** An app at Fly, with a release of this gateway. */
    app: async (name: string, { network = null as string | null, made = true } = {}) => {
      await fly.createApp({ name, org: 'personal', network }, signal)
      if (made) await store.releases.recordCreatedApp(name, (await fly.app(name, signal))!.id!)
      const options = DeploymentOptions.parse({})
      await store.create({ id: `of-${name}`, app: name, options, source: null, image })
      const claim = (await store.claim())!
      const holder = { id: claim.deployment.id, epoch: claim.epoch }
      const desired = { version: 1, groups: [] }
      await store.advance(holder, 'deploying', 'verifying')
      await store.advance(holder, 'verifying', 'live', { release: { desired, secrets: [] } })
    },
    address: (app: string, network: string | null = null) =>
      fly.assignIp(app, { type: 'private_v6', ...(network && { network }) }, signal),
    publicAddress: (app: string) => fly.assignIp(app, { type: 'v4' }, signal),
    certificate: (order: CertificateOrder) =>
      setCertificate(local.state.apps.get(order.app)!, CertificateOrder.parse(order)),
    removeHostname: (app: string, hostname: string) => {
      const found = local.state.apps.get(app)!
      found.hostnames = found.hostnames.filter((each) => each.hostname !== hostname)
    },
    /** The codes and subjects that a look finds now. */
    found: async (app: string) => {
      const { findings } = await drift.report(app, signal)
      return findings.map(({ code, subject }) => `${code} ${subject}`)
    },
    events: async (app: string) => {
      const all = await store.eventsAfter(`of-${app}`, 0, 100)
      return all.flatMap((each) =>
        each.type === 'drift' ? [`${each.state} ${each.code} ${each.subject}`] : [],
      )
    },
    daily: (more: Partial<Parameters<typeof DailyLook.start>[0]> = {}) =>
      DailyLook.start({
        drift,
        ownerRoutes: { sync: async () => null },
        store,
        log,
        now,
        pauseMs: 0,
        ...more,
      }),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}
