import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fetchTransport, type Transport } from '#fly/transport.ts'
import {
  ensureBuilder,
  type BuilderRequest,
} from '../../../client/src/up/builder/ensure-builder.ts'
import { openFly } from '../../../client/src/up/fly-parts.ts'
import { imageMaker } from '../../../client/src/up/image/image-maker.ts'
import { secretsOf } from '../../../client/src/up/secrets.ts'
import type { Hostility } from '../../../lab/localfly/hostile.ts'
import { startSmallFly } from '../../../lab/localfly/start-small.ts'

export const token = 'fly-secret-token'
export const image = `registry.fly.io/tarmac@sha256:${'a'.repeat(64)}`

/** Localfly with machines that are not containers, and a home folder of a user. */
export async function startFly() {
  await using opening = new AsyncDisposableStack()
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-up-'))
  opening.defer(() => rmSync(dir, { recursive: true, force: true }))
  const { flyApi, state, containers, breaches, be } = opening.use(
    await startSmallFly(dir, { token }),
  )
  const env = { FLY_FLAPS_BASE_URL: flyApi, XDG_CONFIG_HOME: join(dir, 'config') }
  const open = opening.move()
  return {
    state,
    containers,
    breaches,
    env,
    be: (...faults: NonNullable<Hostility['faults']>) => be({ faults }),
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
  folder = '/',
) {
  const notes: string[] = []
  const report = (text: string) => void notes.push(text)
  const fly = openFly({ env, token, transport }, { report, signal: AbortSignal.timeout(200_000) })
  const builder = await ensureBuilder(fly, request(more), {
    buildImage: imageMaker(fly, { env, folder }),
    secretsOf: secretsOf({ env, flyToken: token, report }),
  })
  return { builder, notes }
}
