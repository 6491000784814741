import { chmodSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test, vi } from 'vitest'
import type { GatewayStatus } from '#api/status/status.ts'
import { renderBuilder } from '../../../client/src/builder/builder-status.ts'
import { findBuilder } from '../../../client/src/builder/find-builder.ts'
import { type BuilderCommand, operate } from '../../../client/src/builder/operate.ts'
import { readCommandLine } from '../../../client/src/command-line.ts'
import { readBuilder } from '../../../client/src/builder/read-status.ts'
import { percentiles } from '../../../client/src/doctor/load-test.ts'
import { portOf } from '../../../gateway/src/host/port-of.ts'

const never = new AbortController().signal
const printer = { note: () => {} }

const status: GatewayStatus = {
  version: '0.1.0',
  at: '2026-05-04T10:00:00.000Z',
  startedAt: '2026-05-04T06:48:00.000Z',
  uptimeSeconds: 11_520,
  queue: { waiting: 5, running: 2, byState: { pending: 5, building: 1, deploying: 1 } },
  disk: { ok: true, detail: '41000 MB of 50000 MB free', freeBytes: 1, sizeBytes: 2 },
  cost: {
    currency: 'USD',
    prices: { source: 'a bill', date: '2026-05-04' },
    perHour: 1,
    warning: null,
    today: {
      work: { machineSeconds: 60, amount: 0.25, unpricedSeconds: 0 },
      idle: { machineSeconds: 3600, amount: 1, unpricedSeconds: 0 },
    },
    month: {
      work: { machineSeconds: 61, amount: 0.26, unpricedSeconds: 0 },
      idle: { machineSeconds: 7200, amount: 2, unpricedSeconds: 0 },
    },
    days: [],
    apps: [],
  },
  mirror: { unknown: 'it does not answer' },
}

type Answer = (body: unknown) => [number, unknown]
/** Stands for Fly's Machines API, or for a gateway: `METHOD /path` to an answer. */
async function serve(answers: Record<string, Answer>) {
  const calls: string[] = []
  const server = createServer((request, response) => {
    const call = `${request.method} ${request.url}`
    calls.push(call)
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      const [code, body] = answers[call]?.(text ? JSON.parse(text) : null) ?? [404, { error: 'no' }]
      response.writeHead(code).end(JSON.stringify(body))
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    calls,
    [Symbol.dispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

const guest = { cpu_kind: 'performance', cpus: 2, memory_mb: 4096 }
const machine = (state: string) => ({
  id: 'm1',
  name: 'builder',
  instance_id: 'i1',
  state,
  region: 'ams',
  config: { guest },
})
const volume = {
  id: 'vol_1',
  name: 'data',
  region: 'ams',
  state: 'created',
  size_gb: 50,
  attached_machine_id: 'm1',
}
const flyWith = (state: string, exec: Answer = () => [500, {}]) =>
  serve({
    'GET /v1/apps/tarmac-acme/machines': () => [200, [machine('destroyed'), machine(state)]],
    'GET /v1/apps/tarmac-acme/volumes': () => [200, [volume]],
    'POST /v1/apps/tarmac-acme/machines/m1/exec': exec,
  })
const silent = 'http://127.0.0.1:9' // nothing listens at this port
const onFly = (flyUrl: string, gateway = silent) =>
  findBuilder(
    { app: 'tarmac-acme', gateway },
    { FLY_API_TOKEN: 'FlyV1 x', FLY_FLAPS_BASE_URL: flyUrl, HOME: '/nowhere' },
  )

test('a builder is named by options, the environment, or the only file of tarmac up', () => {
  const home = mkdtempSync(join(tmpdir(), 'tarmac-home-'))
  const folder = join(home, '.config/tarmac')
  expect(() => findBuilder({}, { HOME: home })).toThrow('This computer knows no builder')
  mkdirSync(folder, { recursive: true })
  const side = 'TARMAC_GATEWAY=http://a.flycast:8080\nTARMAC_TOKEN=of-the-file\n'
  writeFileSync(join(folder, 'tarmac-acme.env'), side)

  const known = findBuilder({}, { HOME: home })
  expect(known).toMatchObject({ app: 'tarmac-acme', token: 'of-the-file', fly: null })
  expect(known.gateway?.href).toBe('http://a.flycast:8080/')
  // Its token goes to no other gateway.
  const other = { TARMAC_GATEWAY: 'http://b:8080', HOME: home }
  expect(findBuilder({ app: 'tarmac-acme' }, other)).toMatchObject({ token: '' })

  // A tunnel on this computer leads to the only builder.
  const tunnel = { TARMAC_GATEWAY: 'http://127.0.0.1:8080', HOME: home }
  expect(findBuilder({}, tunnel)).toMatchObject({
    app: 'tarmac-acme',
    token: 'of-the-file',
    sideFile: join(folder, 'tarmac-acme.env'),
  })

  writeFileSync(join(folder, 'other.env'), side)
  expect(findBuilder({}, tunnel)).toMatchObject({ app: null, token: '' })
  expect(() => findBuilder({}, { HOME: home })).toThrow('knows other, tarmac-acme')
})

test('a gateway that can be reached is asked itself, and only parts that it has are shown', async () => {
  using gateway = await serve({ 'GET /v1/status': () => [200, status] })
  const builder = findBuilder({}, { TARMAC_GATEWAY: gateway.url, TARMAC_TOKEN: 't' })
  expect(renderBuilder(await readBuilder(builder, false, never))).toEqual([
    'gateway   0.1.0, running for 3 h 12 min',
    'queue     2 running, 5 waiting (pending 5, building 1, deploying 1)',
    'disk      41000 MB of 50000 MB free',
    'mirror    not known: it does not answer',
    'cost      today: work 0.25 USD, 1 min; idle 1.00 USD, 1 h 0 min',
    '          this month: work 0.26 USD, 1 min; idle 2.00 USD, 2 h 0 min',
    '          prices: a bill, of 2026-05-04',
    `The gateway at ${gateway.url} was asked.`,
  ])
})

test('a stopped builder is shown as stopped, and is not woken', async () => {
  using gateway = await serve({ 'GET /v1/status': () => [200, status] })
  using fly = await flyWith('stopped')
  expect(renderBuilder(await readBuilder(onFly(fly.url, gateway.url), false, never))).toEqual([
    'builder   tarmac-acme: stopped, machine m1, region ams, performance, 2 CPUs, 4096 MB; volume vol_1 of 50 GB',
    "Fly's Machines API was asked for the machine of tarmac-acme.",
    'Its machine is stopped, and was not woken.',
  ])
  expect(gateway.calls).toEqual([])
  await readBuilder(onFly(fly.url, gateway.url), true, never)
  expect(gateway.calls).toEqual(['GET /v1/status'])
})

test('an address that wakes a machine is not asked when nobody can say whether it runs', async () => {
  const builder = findBuilder({ gateway: 'http://tarmac-acme.flycast:8080' }, {})
  const { status, ways } = await readBuilder(builder, false, never)
  expect(status).toBeNull()
  expect(ways).toEqual([expect.stringContaining('was not asked: a request would wake it')])
})

test('without a way to the private network, a command inside the machine reads the status', async () => {
  using fly = await flyWith('started', (body) => {
    expect(body).toEqual({ command: ['tarmac-gateway', 'status'], timeout: 20 })
    return [200, { exit_code: 0, stdout: JSON.stringify(status), stderr: '' }]
  })
  const state = await readBuilder(onFly(fly.url), false, never)
  expect(state.status).toEqual(status)
  expect(state.ways).toEqual([
    "Fly's Machines API was asked for the machine of tarmac-acme.",
    expect.stringMatching(/^The gateway at http:\/\/127\.0\.0\.1:9 cannot be reached from here: /),
    'The gateway was asked by a command inside machine m1.',
  ])
})

test('a command that fails in the machine is quoted, and what Fly knows is shown all the same', async () => {
  using fly = await flyWith('started', () => [
    200,
    { exit_code: 1, stdout: '', stderr: 'no gateway answers' },
  ])
  const state = await readBuilder(onFly(fly.url), false, never)
  expect(state).toMatchObject({ status: null, onFly: { machine: { state: 'started' } } })
  expect(state.ways.at(-1)).toContain('ended with exit code 1: no gateway answers')
})

/** Runs a command as the client does. Returns its code and what it printed. */
async function run(argv: string[], env: Record<string, string>) {
  let out = ''
  using _write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text)
    return true
  })
  const command = readCommandLine(argv, env) as BuilderCommand
  return { code: await operate(command, printer, never), out }
}

test('builder status prints JSON, and an option that it does not know is a wrong use', async () => {
  using gateway = await serve({ 'GET /v1/status': () => [200, status] })
  const env = { TARMAC_GATEWAY: gateway.url, TARMAC_TOKEN: 't' }
  const { code, out } = await run(['builder', 'status', '--json'], env)
  expect(JSON.parse(out)).toMatchObject({
    type: 'result',
    exitCode: 0,
    status: { version: '0.1.0' },
  })
  expect(code).toBe(0)
  await expect(run(['builder', 'status', '--push'], env)).rejects.toThrow('--push is not an option')
  await expect(run(['doctor', '--machines', '0'], env)).rejects.toThrow('from 1 to 100')
  expect(readCommandLine(['doctor', '--help'], {})).toEqual({ name: 'help', of: 'doctor' })
  expect(readCommandLine(['--json', 'doctor'], env)).toMatchObject({ name: 'doctor', json: true })
  expect(() => readCommandLine(['builder'], env)).toThrow('tarmac builder status')
})

const finding = { group: 'network', name: 'clock', next: null, ms: 1 }
const reportOf = (answer: string, files: object | null = null) => ({
  report: {
    by: 'gateway',
    version: '0.1.0',
    at: '',
    findings: [{ ...finding, answer, detail: '3 s ahead' }],
  },
  files,
})

test('doctor shows both sides, fails when one thing failed, and saves a support file', async () => {
  let answer = 'failed'
  using gateway = await serve({
    'GET /v1/status': () => [200, status],
    'POST /v1/doctor': (body) => [
      200,
      reportOf(answer, (body as { bundle: boolean }).bundle ? { 'doctor.txt': 'x' } : null),
    ],
  })
  const env = { TARMAC_GATEWAY: gateway.url, TARMAC_TOKEN: 'secret-token-of-the-tests' }
  const file = join(mkdtempSync(join(tmpdir(), 'tarmac-bundle-')), 'support.tar.gz')
  const first = await run(['doctor', '--bundle', file], env)
  expect(first.code).toBe(1)
  expect(first.out).toContain(`  ok         gateway: ${gateway.url} answers in `)
  expect(first.out).toContain('network\n  failed     clock: 3 s ahead\n')
  expect(first.out).toMatch(/3 ok, 1 failed, 1 not known\n$/)
  const saved = gunzipSync(readFileSync(file)).toString()
  for (const name of ['doctor.txt', 'client.json', 'client.txt'])
    expect(saved).toContain(`tarmac-support/${name}`)
  expect(saved).not.toContain('secret-token-of-the-tests')

  answer = 'warning'
  const second = await run(['doctor', '--json'], env)
  expect(second.code).toBe(0)
  expect(JSON.parse(second.out)).toMatchObject({ exitCode: 0, live: null, bundle: null })
})

test('doctor names a wrong token, another version, and a file that others can read', async () => {
  const home = mkdtempSync(join(tmpdir(), 'tarmac-home-'))
  const path = join(home, '.config/tarmac/tarmac-acme.env')
  mkdirSync(join(home, '.config/tarmac'), { recursive: true })
  using gateway = await serve({
    'GET /v1/status': () => [200, { ...status, version: '9.9.9' }],
    'POST /v1/doctor': () => [200, reportOf('ok')],
  })
  writeFileSync(path, `TARMAC_GATEWAY=${gateway.url}\nTARMAC_TOKEN=t\n`)
  chmodSync(path, 0o644)
  const { code, out } = await run(['doctor'], { HOME: home })
  expect(code).toBe(0)
  expect(out).toContain(`next: chmod 600 ${path}`)
  expect(out).toContain('version 9.9.9, and this client is 0.1.0')

  const unauthorized = {
    type: '/problems/unauthorized',
    code: 'unauthorized',
    title: 'A valid token is needed',
    status: 401,
    detail: 'no',
    fault: 'source',
    retry: false,
  }
  using closed = await serve({ 'GET /v1/status': () => [401, unauthorized] })
  const refused = await run(['doctor'], { TARMAC_GATEWAY: closed.url })
  expect(refused.code).toBe(1)
  expect(refused.out).toContain(`${closed.url} does not take the token`)
})

test('doctor examines through Fly where the gateway cannot be reached', async () => {
  using fly = await flyWith('started', (body) => {
    expect(body).toMatchObject({ command: ['tarmac-gateway', 'doctor', '--json'] })
    return [200, { exit_code: 1, stdout: JSON.stringify(reportOf('failed').report) }]
  })
  const env = { FLY_API_TOKEN: 'x', FLY_FLAPS_BASE_URL: fly.url, TARMAC_GATEWAY: silent }
  const { code, out } = await run(['doctor', '--app', 'tarmac-acme'], env)
  expect(code).toBe(1)
  expect(out).toContain('failed     clock: 3 s ahead')
  expect(out).toContain('fly proxy 8080:80 tarmac-acme.flycast --app tarmac-acme')
})

test('percentiles are by the nearest rank', () => {
  const values = Array.from({ length: 100 }, (_, at) => at + 1)
  expect(percentiles(values)).toEqual({ p50Ms: 50, p90Ms: 90, p99Ms: 99, maxMs: 100 })
  expect(percentiles([7])).toEqual({ p50Ms: 7, p90Ms: 7, p99Ms: 7, maxMs: 7 })
  expect(percentiles([])).toEqual({ p50Ms: 0, p90Ms: 0, p99Ms: 0, maxMs: 0 })
})
