import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { z } from 'zod'
import { FlySchema } from '../../lab/localfly/fly-schema.ts'
import { Flyd } from '../../lab/localfly/flyd.ts'
import { Hostile } from '../../lab/localfly/hostile.ts'
import { RequestLimits } from '../../lab/localfly/limits.ts'
import { machinesApi } from '../../lab/localfly/machines-api.ts'
import type { Containers } from '../../lab/localfly/containers.ts'
import { FlyState } from '../../lab/localfly/state.ts'
import { portOf } from '../../gateway/src/host/port-of.ts'
import { caseOf, type Ended, type FlyTomlRecord } from './flyctl-case.ts'
import { quietFlyctl } from '../../lab/quiet-flyctl.ts'

const token = 'recorder'
const org = 'personal'
/** Whatever app the file names: not every name there is one that Fly takes. */
const app = 'recorded'
const image = `registry.fly.io/recorded@sha256:${'a'.repeat(64)}`
const deployMs = 60_000
/** flyctl waits for the start of a release command before it waits for its end. */
const jobMs = 1000

/** flyctl's own version, or null: it is not on PATH. */
export async function flyctlVersion(): Promise<string | null> {
  return promisify(execFile)('flyctl', ['version'], { env: quiet(tmpdir(), 'http://127.0.0.1:1') })
    .then(({ stdout }) => /\bv(\S+)/.exec(stdout)?.[1] ?? stdout.trim())
    .catch(() => null)
}

/**
 * Runs the real flyctl with a fly.toml: it deploys an image to a localfly whose machines run
 * nothing. Records the machine configs that flyctl sends.
 */
export async function recordFlyToml(toml: string, version: string): Promise<FlyTomlRecord> {
  await using fly = await startRecorder()
  await fly.flyctl('apps', 'create', app, '--org', org)
  writeFileSync(join(fly.dir, 'fly.toml'), toml)
  const place = ['--app', app, '--primary-region', 'ams']
  const words = [
    '--image',
    image,
    '--ha=false',
    '--now',
    '--yes',
    '--detach',
    '--wait-timeout',
    '5s',
  ]
  const ended = await fly.flyctl('deploy', ...place, ...words, '--strategy', 'immediate')
  return caseOf({ toml, version, created: fly.created, definition: fly.definition(), ended })
}

const Create = z.looseObject({ config: z.record(z.string(), z.unknown()) })
const Release = z.object({ definition: z.record(z.string(), z.unknown()) })

/** A Fly that creates machines without running them, and keeps what it was asked for. */
async function startRecorder() {
  await using opening = new AsyncDisposableStack()
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-record-'))
  opening.defer(() => rmSync(dir, { recursive: true, force: true }))

  const registry = await serve(opening, (request, response) => {
    response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' })
    response.end(request.method === 'HEAD' ? undefined : '{"schemaVersion":2,"layers":[]}')
  })
  const state = new FlyState(dir)
  const hostile = new Hostile(state)
  const flyd = opening.use(new Flyd({ state, podman: noContainers(), registry, hostile }))
  const limits = new RequestLimits()
  limits.hold = false
  const api = machinesApi({ state, flyd, token, limits, schema: new FlySchema(), registry })

  const created: Record<string, unknown>[] = []
  let definition: Record<string, unknown> = {}
  const host = await serve(opening, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = (): unknown => JSON.parse(Buffer.concat(chunks).toString() || '{}')
      if (request.method !== 'POST') return
      if (request.url?.endsWith('/machines')) created.push(Create.parse(body()).config)
      if (request.url?.endsWith('/releases')) definition = Release.parse(body()).definition
    })
    api(request, response)
  })

  const env = quiet(dir, `http://${host}`)
  const open = opening.move()
  return {
    dir,
    created,
    definition: () => definition,
    async flyctl(...args: string[]): Promise<Ended> {
      const options = { env, cwd: dir, timeout: deployMs, maxBuffer: 16 << 20 }
      return promisify(execFile)('flyctl', args, options).then(
        ({ stdout, stderr }) => ({ ok: true, output: stdout + stderr }),
        (error: { stdout?: string; stderr?: string }) => ({
          ok: false,
          output: `${error.stdout ?? ''}${error.stderr ?? ''}`,
        }),
      )
    },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

/** Machines of localfly that are started at once and run nothing. Release commands succeed. */
function noContainers(): Containers {
  const jobs = new Set<string>()
  const never = new Promise<never>(() => {})
  return {
    hostAddress: '127.99.1.1',
    separate: async () => {},
    addresses: () => Array.from({ length: 200 }, (_, index) => `127.99.1.${index + 2}`),
    pull: async () => image,
    run: async ({ name, env }) => {
      if (env['RELEASE_COMMAND']) jobs.add(name)
      return { id: name, pid: process.pid, command: '' }
    },
    exited: async ({ id }) => (jobs.has(id) ? sleep(jobMs, { code: 0, oomKilled: false }) : never),
    status: async () => 'running',
    exec: async () => null,
    isPaused: () => false,
    kill: async () => true,
    pause: async () => {},
    unpause: async () => {},
    remove: async () => {},
  }
}

async function serve(opening: AsyncDisposableStack, handler: RequestListener): Promise<string> {
  const server = createServer(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  opening.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  return `127.0.0.1:${portOf(server)}`
}

/** flyctl speaks only to this Fly. */
function quiet(home: string, url: string): Record<string, string | undefined> {
  return {
    ...quietFlyctl,
    HOME: home,
    FLY_CONFIG_DIR: home,
    FLY_ACCESS_TOKEN: token,
    FLY_FLAPS_BASE_URL: url,
    FLY_API_BASE_URL: url,
    FLY_UIEX_BASE_URL: url,
  }
}
