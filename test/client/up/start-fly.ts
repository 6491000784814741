import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fetchTransport, type Transport } from '#fly/transport.ts'
import {
  ensureBuilder,
  type BuilderRequest,
} from '../../../client/src/up/builder/ensure-builder.ts'
import { openFly } from '../../../client/src/up/fly-parts.ts'
import { secretsOf } from '../../../client/src/up/secrets.ts'
import { portOf } from '../../../gateway/src/host/port-of.ts'
import { FlySchema } from '../../../lab/localfly/fly-schema.ts'
import { Flyd } from '../../../lab/localfly/flyd.ts'
import { hostileApi } from '../../../lab/localfly/hostile-api.ts'
import { Hostile, Hostility } from '../../../lab/localfly/hostile.ts'
import { RequestLimits } from '../../../lab/localfly/limits.ts'
import { machinesApi } from '../../../lab/localfly/machines-api.ts'
import { FlyState } from '../../../lab/localfly/state.ts'
import { FakeContainers } from '../../fakes/containers.ts'

export const token = 'fly-secret-token'
export const image = `registry.fly.io/tarmac@sha256:${'a'.repeat(64)}`

/** Localfly with machines that are not containers, and a home folder of a user. */
export async function startFly() {
  await using opening = new AsyncDisposableStack()
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-up-'))
  opening.defer(() => rmSync(dir, { recursive: true, force: true }))
  const state = new FlyState(join(dir, 'localfly'))
  const hostile = new Hostile(state)
  const containers = opening.use(new FakeContainers())
  const registry = '127.0.0.1:1'
  const flyd = opening.use(new Flyd({ state, podman: containers, registry, hostile }))
  const limits = new RequestLimits()
  limits.hold = false
  const schema = new FlySchema()
  const api = machinesApi({ state, flyd, token, limits, schema, registry })
  const server = createServer(hostileApi({ api, state, hostile })).listen(0, '127.0.0.1')
  await once(server, 'listening')
  opening.defer(() => {
    server.closeAllConnections()
    server.close()
  })

  const env = {
    FLY_FLAPS_BASE_URL: `http://127.0.0.1:${portOf(server)}`,
    XDG_CONFIG_HOME: join(dir, 'config'),
  }
  const open = opening.move()
  return {
    state,
    containers,
    schema,
    env,
    be: (...faults: NonNullable<Hostility['faults']>) =>
      void hostile.set(Hostility.parse({ faults })),
    /** All that Fly has now, without ids. */
    inventory: () => ({
      apps: [...state.apps.values()].map(({ name, ips }) => `${name}: ${ips.length} addresses`),
      volumes: [...state.volumes.values()].map(({ region, size_gb }) => `${region} ${size_gb} GB`),
      machines: [...state.machines.values()]
        .filter((machine) => machine.state !== 'destroyed')
        .map((machine) => `${machine.name} ${machine.state} ${machine.region}`),
    }),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}
export type TestFly = Awaited<ReturnType<typeof startFly>>

export const request = (more: Partial<BuilderRequest> = {}): BuilderRequest => ({
  org: 'personal',
  app: null,
  network: null,
  region: 'fra',
  size: null,
  volumeGb: null,
  alwaysOn: null,
  env: {},
  replace: false,
  tokenMark: 'mark',
  image,
  ...more,
})

/** One run of `ensureBuilder`, as the command makes it. Returns its notes too. */
export async function up(
  { env }: TestFly,
  more: Partial<BuilderRequest> = {},
  transport: Transport = fetchTransport(),
) {
  const notes: string[] = []
  const report = (text: string) => void notes.push(text)
  const fly = openFly({ env, token, transport }, { report, signal: AbortSignal.timeout(60_000) })
  const builder = await ensureBuilder(fly, request(more), {
    buildImage: () => Promise.resolve(image),
    secretsOf: secretsOf({ env, flyToken: token, report }),
  })
  return { builder, notes }
}
