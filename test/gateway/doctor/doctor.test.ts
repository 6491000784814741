import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { DeploymentOptions } from '#api/options.ts'
import { BuilderApi } from '#fly/builder-api.ts'
import { readConfig } from '../../../gateway/src/config.ts'
import { askOwnGateway } from '../../../gateway/src/doctor/ask-own-gateway.ts'
import { readArguments, runDoctor } from '../../../gateway/src/doctor/run-doctor.ts'
import { authorization, startHttp, token } from '../http/start-http.ts'
import { bundleFiles } from '../../../gateway/src/doctor/bundle-files.ts'
import { runProbes } from '#api/doctor/run-probes.ts'
import type { DoctorParts } from '../../../gateway/src/doctor/doctor-parts.ts'
import { writeSpeed } from '../../../gateway/src/doctor/machine-probes.ts'
import { clock, flycast } from '../../../gateway/src/doctor/network-probes.ts'
import { registryProbes } from '../../../gateway/src/doctor/registry-probes.ts'
import { tokenProbes } from '../../../gateway/src/doctor/token-probes.ts'
import { portOf } from '../../../gateway/src/host/port-of.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { SealingKeys } from '../../../gateway/src/secrets/sealing.ts'
import { Vault } from '../../../gateway/src/secrets/vault.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const never = new AbortController().signal

/** A server on loopback that answers by this table: `METHOD /path` to a status and headers. */
async function serve(answers: Record<string, [number, Record<string, string>?]>) {
  const calls: string[] = []
  const server = createServer((request, response) => {
    const call = `${request.method} ${request.url}`
    calls.push(call)
    const [status, headers = {}] = answers[call] ?? [404]
    request.resume()
    response.writeHead(status, headers).end('{}')
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    host: `127.0.0.1:${portOf(server)}`,
    calls,
    [Symbol.dispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}

function partsOf(host: string, own: Partial<DoctorParts['fly']> = {}): DoctorParts {
  const config = readConfig({
    TARMAC_FLY_API: `http://${host}`,
    TARMAC_REGISTRY: host,
    TARMAC_FLY_TOKEN: 'a-token-of-the-tests',
    TARMAC_FLY_ORG: 'acme',
  })
  const fly = {
    checkOrg: async () => {},
    checkToken: async () => {},
    machineLog: async () => [],
    ipAssignments: async () => [],
    ...own,
  }
  const tokens = new BuilderApi({ baseUrl: config.fly.api, token: config.secrets.fly })
  const status = { version: 'test', startedAt: new Date(), readers: {} }
  return { config, fly, tokens, own: null, buildkit: null, status }
}

const linesOf = async (probes: Parameters<typeof runProbes>[0]) =>
  (await runProbes(probes, never)).map(({ name, answer, detail }) => `${name} ${answer}: ${detail}`)

test('a good token of an organisation', async () => {
  using fly = await serve({
    'GET /v1/tokens/current': [200],
    'POST /v1/tokens/authorize': [200],
  })
  expect(await linesOf(tokenProbes(partsOf(fly.host)))).toEqual([
    'valid ok: organisation not named',
    'organisation ok: organisation acme',
    'make apps ok: in acme',
    'read logs unknown: this machine is not one of Fly’s',
  ])
})

test('a token that Fly does not take, that reaches no organisation, and makes no apps', async () => {
  using fly = await serve({
    'GET /v1/tokens/current': [401],
    'POST /v1/tokens/authorize': [403],
  })
  const refused = new Problem('fly-denied', 'no', { facts: { status: 403 } })
  const parts = partsOf(fly.host, { checkOrg: () => Promise.reject(refused) })
  expect(await linesOf(tokenProbes(parts))).toMatchObject([
    'valid failed: Fly does not take the token in TARMAC_FLY_TOKEN',
    expect.stringContaining('organisation failed: The token is valid, and it does not reach'),
    'make apps warning: the token may make no apps in acme: deploys to apps that exist work',
    expect.any(String),
  ])
})

test('whether the token may push is tried by an upload that is cancelled', async () => {
  using registry = await serve({
    'GET /v2/': [200],
    'POST /v2/shop/blobs/uploads/': [202, { location: '/v2/shop/blobs/uploads/1' }],
    'DELETE /v2/shop/blobs/uploads/1': [204],
    'GET /v2/shop/tags/list': [200],
  })
  const parts = partsOf(registry.host)
  expect(await linesOf(registryProbes(parts, { app: 'shop', push: false }))).toEqual([
    `login ok: ${registry.host}`,
    `push ok: the token may push to ${registry.host}/shop; an empty upload was begun and cancelled`,
    'list of tags ok: the registry lists tags',
  ])
  expect(registry.calls).toHaveLength(4)
  expect(await linesOf(registryProbes(parts, { app: 'blog', push: false }))).toContain(
    `push failed: ${registry.host} has no repository blog (404)`,
  )
  expect(await linesOf(registryProbes(parts, { app: null, push: true }))).toContain(
    'push unknown: no app is known whose repository could be tried',
  )
})

test('a registry that refuses the token', async () => {
  using registry = await serve({
    'GET /v2/': [401],
    'POST /v2/shop/blobs/uploads/': [403],
  })
  expect(
    await linesOf(registryProbes(partsOf(registry.host), { app: 'shop', push: false })),
  ).toEqual([
    `login failed: ${registry.host} does not take the token (401)`,
    `push failed: the token may not push to ${registry.host}/shop (403)`,
    'list of tags ok: the registry lists none (404)',
  ])
})

test('the clock is compared with the date of Fly’s answers', async () => {
  const at = (ms: number) => ({ date: new Date(Date.now() + ms).toUTCString() })
  for (const [ms, answer] of [
    [0, 'ok'],
    [100_000, 'warning'],
    [-1_000_000, 'failed'],
  ] as const) {
    using fly = await serve({ 'GET /': [404, at(ms)] })
    expect(await clock(`http://${fly.host}/`, never)).toMatchObject({ answer })
  }
})

test('Flycast is asked at the port of its service, and not at that of the machine', async () => {
  const parts = partsOf('127.0.0.1:9', { ipAssignments: async () => [{ ip: 'fdaa:0:1::2' }] })
  const own = { ...parts.config.machine, app: 'no-such-app' }
  const { detail } = await flycast({ ...parts, own }, never)
  expect(detail).toContain('http://no-such-app.flycast/healthz: ')
})

test('the test file of the volume is removed, also when the probe is stopped', async () => {
  const data = mkdtempSync(join(tmpdir(), 'tarmac-doctor-'))
  expect((await writeSpeed(data, never)).detail).toContain('MB/s, synced')
  await expect(writeSpeed(data, AbortSignal.abort(new Error('stopped')))).rejects.toThrow('stopped')
  expect(readdirSync(data)).toEqual([])
})

test('a support bundle holds no secret that was put into settings, logs, records or variables', async () => {
  const planted = {
    token: `gateway-${randomUUID()}`,
    fly: `FlyV1 fm2_${randomBytes(30).toString('base64url')}`,
    key: randomBytes(32).toString('base64'),
    env: `env-${randomUUID()}`,
    build: `build-${randomUUID()}`,
    vault: `vault-${randomUUID()}`,
    password: `password-${randomUUID()}`,
    github: `ghp_${randomBytes(20).toString('hex').slice(0, 36)}`,
  }
  const config = readConfig({
    TARMAC_TOKENS: planted.token,
    TARMAC_FLY_TOKEN: planted.fly,
    TARMAC_SECRETS_KEY: planted.key,
    TARMAC_URL: `https://user:${planted.password}@host/{app}`,
  })
  openLog('info', { write: () => {} }).info(
    { said: `${planted.token} ${planted.fly}`, list: [planted.github] },
    'all in one line',
  )
  await using store = openSqliteStore(':memory:')
  const vault = new Vault(store, new SealingKeys(config.secrets.key))
  await vault.put('shop', 'NPM_TOKEN', Buffer.from(planted.vault))
  await store.create({
    id: 'd1',
    app: 'shop',
    source: null,
    options: DeploymentOptions.parse({ env: { A: planted.env }, build: { B: planted.build } }),
  })
  const problem = new Problem(
    'build-failed',
    `npm said ${planted.vault} ${planted.build} ${planted.env}`,
    {
      facts: { lastLines: [planted.github, planted.key], [planted.token]: 'a name' },
    },
  )
  await store.giveUp('d1', problem.body())

  const status = {
    version: 'test',
    startedAt: new Date(),
    readers: { mirror: () => Promise.reject(new Problem('not-ready', planted.fly)) },
  }
  const finding = { group: 'g', name: 'n', answer: 'ok', detail: planted.token, next: null, ms: 1 }
  const report = { by: 'gateway', version: '1', at: '', findings: [finding] } as const
  const files = await bundleFiles(
    { config, status, records: { store, vault } },
    { ...report, findings: [{ ...finding, answer: 'ok' }] },
  )

  expect(Object.keys(files)).toEqual([
    'doctor.json',
    'doctor.txt',
    'status.json',
    'settings.json',
    'gateway.log',
    'deployments.json',
  ])
  const all = Object.values(files).join('\n')
  expect(Object.entries(planted).filter(([, value]) => all.includes(value))).toEqual([])
  const { fly } = planted
  expect(all).not.toContain(fly.slice('FlyV1 '.length))
  expect(all).not.toContain(Buffer.from(planted.key, 'base64').toString('hex'))
  expect(files['gateway.log']).toContain('all in one line')
  expect(files['deployments.json']).toContain('npm said')
  expect(JSON.parse(files['settings.json']!)).toMatchObject({
    secrets: { tokens: '1 set', key: 'set', fly: 'set' },
  })
})

test('tarmac-gateway doctor asks the gateway of its machine, and says so when none answers', async () => {
  const findings = [
    { group: 'g', name: 'n', answer: 'ok' as const, detail: 'fine', next: null, ms: 1 },
  ]
  const report = { by: 'gateway' as const, version: '1', at: '', findings }
  const file = join(mkdtempSync(join(tmpdir(), 'tarmac-doctor-')), 'support.tar.gz')
  await using http = await startHttp({
    doctor: async (_caller, { bundle }) => ({ report, files: bundle ? { 'a.txt': 'x' } : null }),
  })
  const settings = { TARMAC_TOKENS: token, TARMAC_FLY_API: 'http://127.0.0.1:1' }
  const run = (port: number, ...args: string[]) =>
    runDoctor(readConfig({ ...settings, TARMAC_PORT: `${port}` }), readArguments(args))

  expect(await run(http.port)).toEqual({ code: 0, text: 'g\n  ok         n: fine\n\n1 ok' })
  expect(JSON.parse((await run(http.port, '--json')).text)).toEqual(report)
  expect((await run(http.port, '--bundle', file)).text).toContain(`The support file is ${file}.`)
  expect(gunzipSync(readFileSync(file)).toString()).toContain('tarmac-support/a.txt')
  const unsaved = await run(http.port, '--bundle', join(file, 'below-a-file'))
  expect(unsaved).toMatchObject({ code: 1 })
  expect(unsaved.text).toMatch(/ok {9}n: fine[^]*the support file cannot be written: ENOTDIR/)
  expect(() => readArguments(['--nonsense'])).toThrow('nonsense')

  const none = await askOwnGateway(
    readConfig({ ...settings, TARMAC_PORT: '1' }),
    '/v1/status',
    null,
  )
    .then(() => '')
    .catch((error: Error) => error.message)
  expect(none).toMatch(/^no gateway answers at http:\/\/127\.0\.0\.1:1\/v1\/status: /)
})

test('POST /v1/doctor takes its three options, and nothing else', async () => {
  const asked: unknown[] = []
  const report = { by: 'gateway' as const, version: '1', at: '', findings: [] }
  await using http = await startHttp({
    doctor: async (_caller, request) => (asked.push(request), { report, files: null }),
  })
  const post = (body: string, headers = authorization) =>
    fetch(`${http.url}/v1/doctor`, { method: 'POST', headers, body })
  expect(await (await post('{}')).json()).toEqual({ report, files: null })
  expect((await post('{"push":true,"app":"shop"}')).status).toBe(200)
  expect(asked).toEqual([
    { app: null, push: false, bundle: false },
    { app: 'shop', push: true, bundle: false },
  ])
  expect(await (await post('{"puhs":true}')).json()).toMatchObject({ code: 'option-invalid' })
  expect((await post('{}', { Authorization: 'Bearer wrong' })).status).toBe(401)
})
