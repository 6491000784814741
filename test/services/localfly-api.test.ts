import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { MetricsApi } from '#fly/metrics/metrics-api.ts'
import { overUndici } from '#fly/undici-transport.ts'
import { startLocalfly } from '../../lab/localfly/start.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { pushPage } from './perl-image.ts'

const token = 'fly-secret'
const dir = mkdtempSync(join(tmpdir(), 'localfly-api-'))
const ports = { apiPort: 9311, proxyPort: 9312, registryFrontPort: 9313, controlPort: 9314 }
let registry: Awaited<ReturnType<typeof startRegistry>>
let fly: Awaited<ReturnType<typeof startLocalfly>>
let one = ''
let two = ''
const start = () =>
  startLocalfly({ dir, name: 'api', registry: registry.address, token, limits: false, ...ports })

beforeAll(async () => {
  registry = await startRegistry({ dir, port: 9310 })
  fly = await start()
  await api('POST', '/apps', { name: 'images', org_slug: 'personal' })
  one = await pushPage(fly.registry, token, 'images', 'one')
  two = await pushPage(fly.registry, token, 'images', 'two')
})
afterAll(async () => {
  const { breaches } = fly
  await fly[Symbol.asyncDispose]().finally(() => registry[Symbol.asyncDispose]())
  rmSync(dir, { recursive: true, force: true })
  expect(breaches).toEqual([])
})

test('a command runs in a machine and returns its exit; processes are listed with their open ports', async () => {
  const { path } = await run('commands', { image: one })
  const perl = (script: string, more = {}) =>
    api('POST', `${path}/exec`, { command: ['/usr/bin/perl', '-e', script], ...more })
  expect(await perl('print "hi $ENV{PAGE}"; print STDERR "oh"; exit 3')).toEqual({
    status: 200,
    body: { exit_code: 3, exit_signal: 0, stdout: 'hi one', stderr: 'oh' },
  })
  expect((await api('POST', `${path}/exec`, { cmd: '/usr/bin/perl -v' })).body).toMatchObject({
    exit_code: 0,
  })

  const quoted = `/usr/bin/perl -e 'print "<$_>" for @ARGV' "two words" o'n'e`
  expect((await api('POST', `${path}/exec`, { cmd: quoted })).body).toMatchObject({
    stdout: '<two words><one>',
  })
  // Accepted and lost, as users report of Fly.
  expect((await perl('print "read: ", <STDIN>', { stdin: 'a line' })).body).toMatchObject({
    stdout: 'read: ',
  })
  expect(await perl('sleep 9', { timeout: 1 })).toMatchObject({
    status: 408,
    body: { error: 'deadline_exceeded: command did not end within 1s' },
  })

  const { body } = await api('GET', `${path}/ps`)
  expect(body.find(({ command }: any) => command.startsWith('/usr/bin/perl'))).toMatchObject({
    directory: '/',
    listen_sockets: [{ proto: 'tcp', address: '0.0.0.0:8080' }],
  })
  await fly.fly.hostile({ faults: [{ fault: 'old-init', app: 'commands' }] })
  const { body: socketless } = await api('GET', `${path}/ps`)
  expect(socketless.map(({ listen_sockets }: any) => listen_sockets)).toEqual(body.map(() => []))
  await fly.fly.calm('commands')

  await api('POST', `${path}/stop`)
  await wait(path, 'state=stopped')
  expect(await perl('1')).toMatchObject({ status: 412 })
})

test('Prometheus has the memory and the CPU of a machine, as its container uses them', async () => {
  const { path } = await run('measured', { image: one })
  const id = path.split('/').at(-1)!
  await using metrics = new MetricsApi(overUndici(fly.flyApi, token), 'personal')
  const measure = async () => {
    await fly.fly.scrape()
    const to = Math.ceil(Date.now() / 1000)
    const range = { from: to - 30, to, step: 30 }
    const { memoryBytes, cpus, totalBytes } =
      (await metrics.machines(['measured'], range, AbortSignal.timeout(10_000))).get(id) ?? {}
    return { memory: memoryBytes?.at(-1) ?? 0, cpus: cpus?.at(-1) ?? 0, totalBytes }
  }
  const before = await measure()
  expect(before).toMatchObject({ totalBytes: 256 * 1024 * 1024 })
  expect(before.memory).toBeGreaterThan(100_000)
  expect(before.memory).toBeLessThan(60e6)

  // It writes 64 MiB, and is busy until the test has seen both. Other tests may want the CPU too.
  const busy = '$m = "a" x (64 << 20); 1 while 1'
  const work = api('POST', `${path}/exec`, { command: ['/usr/bin/perl', '-e', busy], timeout: 20 })
  await expect
    .poll(measure, { timeout: 15_000, interval: 500 })
    .toSatisfy(({ memory, cpus }) => memory > before.memory + 60e6 && cpus > 0.02)
  await api('POST', `${path}/stop`)
  await work
})

test('cmd, entrypoint and exec have Fly’s precedence; env, files, tty and logs work', async () => {
  const say = (words: string) => `$| = 1; print ${words}, "\\n"; sleep 60`
  const config = (init: object) => ({ image: one, init, env: { WORD: 'a word' } })
  const lines = async (init: object, more = {}) => {
    const { path } = await run('inits', { ...config(init), ...more })
    const logs = async () => (await api('GET', `${path}/logs?lines=1`)).body
    const last = async () => (await logs())?.message
    await expect.poll(last, { timeout: 5000 }).not.toMatch(/Starting init|^$/)
    await api('DELETE', `${path}?force=true`)
    return [await last()]
  }
  expect(await lines({ cmd: ['/usr/bin/perl', '-e', say('$ENV{WORD}')] })).toEqual(['a word'])
  // The image's own command stays: perl runs its server with the arguments before it.
  expect(await lines({ entrypoint: ['/usr/bin/perl', '-e', say('"@ARGV"')] })).toEqual([
    '/usr/bin/perl /server.pl',
  ])
  const exec = ['/usr/bin/perl', '-e', say('-t STDOUT ? "tty" : "pipe"')]
  expect(await lines({ exec, cmd: ['never'], tty: true })).toEqual(['tty'])

  const read = [
    '/usr/bin/perl',
    '-e',
    say('join(",", map { open $f, "<", $_; (<$f>, sprintf "%o", (stat $_)[2] & 0777) } @ARGV)'),
  ]
  await api('POST', '/apps/inits/secrets/NOTE', { value: base64('from a secret') })
  const files = [
    { guest_path: '/etc/deep/raw', raw_value: base64('raw') },
    { guest_path: '/secret', secret_name: 'NOTE', mode: 0o600 },
  ]
  expect(await lines({ entrypoint: read, cmd: ['/etc/deep/raw', '/secret'] }, { files })).toEqual([
    'raw,644,from a secret,600',
  ])
})

test('a volume keeps a machine’s files over updates, machines and a restart of localfly, and belongs to one machine', async () => {
  await app('stored')
  const request = { name: 'data', region: 'ams', size_gb: 1 }
  const { body: volume } = await api('POST', '/apps/stored/volumes', request)
  expect(volume).toMatchObject({ ...request, state: 'created', attached_machine_id: null })

  const mounts = [{ volume: volume.id, path: '/data' }]
  const first = await run('stored', { image: one, mounts }, { region: 'ams' })
  const perl = async (path: string, script: string) =>
    (await api('POST', `${path}/exec`, { command: ['/usr/bin/perl', '-e', script] })).body.stdout
  await perl(first.path, 'open $f, ">", "/data/note"; print $f "kept"')
  expect((await api('GET', '/apps/stored/volumes')).body).toMatchObject([
    { attached_machine_id: first.id },
  ])

  const taken = await api('POST', '/apps/stored/machines', {
    region: 'ams',
    config: { image: one, mounts },
  })
  expect(taken).toMatchObject({
    status: 412,
    body: { error: expect.stringContaining(`claimed by machine ${first.id}`) },
  })
  expect(
    (await api('POST', '/apps/stored/machines', { region: 'iad', config: { image: one, mounts } }))
      .status,
  ).toBe(412)
  expect((await api('DELETE', `/apps/stored/volumes/${volume.id}`)).status).toBe(412)

  const update = await api('POST', first.path, { config: { image: two, mounts } })
  await wait(first.path, `version=${update.body.instance_id}`)
  const read = 'open $f, "<", "/data/note"; print <$f>'
  expect(await perl(first.path, read)).toBe('kept')

  const { body: snapshot } = await api('POST', `/apps/stored/volumes/${volume.id}/snapshots`)
  expect((await api('GET', `/apps/stored/volumes/${volume.id}/snapshots`)).body).toMatchObject([
    { id: snapshot.id },
  ])

  await api('DELETE', `${first.path}?force=true`)
  await wait(first.path, 'state=destroyed')
  await fly[Symbol.asyncDispose]()
  fly = await start()
  const second = await run('stored', { image: one, mounts }, { region: 'ams' })
  expect(await perl(second.path, read)).toBe('kept')

  const { body: copy } = await api('POST', '/apps/stored/volumes', {
    ...request,
    snapshot_id: snapshot.id,
  })
  const third = await run(
    'stored',
    { image: one, mounts: [{ volume: copy.id, path: '/data' }] },
    { region: 'ams' },
  )
  expect(await perl(third.path, read)).toBe('kept')

  const extended = await api('PUT', `/apps/stored/volumes/${copy.id}/extend`, { size_gb: 4 })
  expect(extended.body).toMatchObject({ needs_restart: false, volume: { size_gb: 4 } })
  expect((await api('PUT', `/apps/stored/volumes/${copy.id}/extend`, { size_gb: 2 })).status).toBe(
    400,
  )
  expect((await api('GET', '/apps/stored')).body).toMatchObject({ volume_count: 2 })
  await api('DELETE', '/apps/stored')
  expect((await api('GET', '/apps/stored')).status).toBe(404)
})

test('secrets have versions, reach machines with their next version, and are shown only on request', async () => {
  const { path } = await run('secret', { image: one, env: { A: 'env' } })
  expect(
    (await api('POST', '/apps/secret/secrets', { values: { A: 'x', B: 'y' } })).body,
  ).toMatchObject({
    version: 1,
    secrets: [{ name: 'A', digest: expect.any(String) }, { name: 'B' }],
  })
  expect((await api('GET', '/apps/secret/secrets')).body.secrets[0].value).toBeUndefined()
  expect((await api('GET', '/apps/secret/secrets/A?show_secrets=true')).body.value).toBe('x')
  expect((await api('GET', '/apps/secret/secrets?min_version=2')).status).toBe(412)

  const seen = async () =>
    (await api('POST', `${path}/exec`, { command: ['/usr/bin/perl', '-e', 'print $ENV{A}'] })).body
  expect((await seen()).stdout).toBe('env')
  const early = await api('POST', path, { config: { image: one }, min_secrets_version: 2 })
  expect(early.status).toBe(412)

  const update = await api('POST', path, {
    config: { image: one, env: { A: 'env' } },
    min_secrets_version: 1,
  })
  await wait(path, `version=${update.body.instance_id}`)
  expect((await seen()).stdout).toBe('x')
  expect((await api('DELETE', '/apps/secret/secrets/A')).body).toEqual({ version: 2 })
  expect((await api('POST', '/apps/secret/secrets', { values: { B: null } })).body).toEqual({
    version: 3,
    secrets: [],
  })
  expect((await api('GET', '/apps/secret/secrets/A')).status).toBe(404)
})

test('machines of one network resolve each other’s names, those of another network do not', async () => {
  await app('alone', { network: 'other' })
  const metadata = { fly_process_group: 'web' }
  const a = await run('named', { image: one, metadata })
  const b = await run('named', { image: one }, { region: 'iad' })
  const hidden = await run('named', { image: one, dns: { skip_registration: true } })
  const other = await run('alone', { image: one })
  const ask = async (path: string, name: string) => {
    const script =
      'use Socket; @h = gethostbyname shift; print join " ", map { inet_ntoa $_ } @h[4..$#h]'
    const { body } = await api('POST', `${path}/exec`, {
      command: ['/usr/bin/perl', '-e', script, name],
    })
    return body.stdout
  }
  const hosts = async (path: string) =>
    (await api('POST', `${path}/exec`, { command: ['/usr/bin/perl', '-pe', '1', '/etc/hosts'] }))
      .body.stdout
  expect(await ask(b.path, `${a.id}.vm.named.internal`)).toBe(a.ip)
  expect(await ask(a.path, 'iad.named.internal')).toBe(b.ip)
  expect(await ask(b.path, 'web.process.named.internal')).toBe(a.ip)

  const named = [...(await hosts(a.path)).matchAll(/^(\S+) .*\snamed\.internal/gm)].map(
    ([, ip]) => ip,
  )
  expect(new Set(named)).toEqual(new Set([a.ip, b.ip]))
  expect(await hosts(a.path)).toContain(`${hidden.id}.vm.named.internal`)
  expect(await hosts(other.path)).not.toContain('named.internal')

  await api('POST', `${b.path}/stop`)
  await wait(b.path, 'state=stopped')
  expect(await ask(a.path, 'iad.named.internal')).toBe('')
})

test('a standby starts when the host of its machine is lost; a one-off machine is removed when its work is done', async () => {
  const { id } = await run('spare', { image: one })
  const config = { image: one, standbys: [id] }
  const standby = (await api('POST', '/apps/spare/machines', { config, skip_launch: true })).body
  const path = `/apps/spare/machines/${standby.id}`
  await wait(path, 'state=stopped')
  await fly.fly.hostile({ faults: [{ fault: 'host-gone', machine: id }] })
  await api('GET', `/apps/spare/machines/${id}`)
  await wait(path, 'state=started')
  await fly.fly.calm()

  const oneOff = {
    image: one,
    auto_destroy: true,
    restart: { policy: 'no' },
    init: { cmd: ['/usr/bin/perl', '-e', 'print "done\n"; exit 4'] },
  }
  const { body } = await api('POST', '/apps/spare/machines', { config: oneOff })
  const gone = `/apps/spare/machines/${body.id}`
  await wait(gone, 'state=destroyed')
  const { events } = (await api('GET', gone)).body
  expect(events.find(({ type }: any) => type === 'exit').request.exit_event).toMatchObject({
    exit_code: 4,
  })
  expect((await api('GET', `${gone}/logs?lines=1`)).body).toMatchObject({
    message: 'done',
    instance: body.id,
  })
  expect((await api('GET', '/apps/spare/machines')).body).toHaveLength(2)
  expect(
    (await api('GET', '/apps/spare/machines?include_deleted=true&summary=true')).body,
  ).toHaveLength(3)
})

test('a config that Fly could not read is refused, and null counts as absent', async () => {
  await app('refused')
  const ports = [{ port: '80', handlers: ['http'] }]
  const wrong = await api('POST', '/apps/refused/machines', {
    config: { image: one, services: [{ internal_port: 80, ports }] },
  })
  expect(wrong).toMatchObject({
    status: 400,
    body: { error: expect.stringContaining('/services/0/ports/0/port') },
  })

  const mounts = [{ volume: 'vol_none', path: '/data' }]
  expect(
    (await api('POST', '/apps/refused/machines', { config: { image: one, mounts } })).status,
  ).toBe(404)

  const { body } = await api('POST', '/apps/refused/machines', {
    config: { image: one, statics: null },
    skip_launch: true,
  })
  expect(body.config).not.toHaveProperty('statics')
})

test('a stop answers when the machine is down, so that a start may follow at once; a slow stop answers earlier', async () => {
  const { path } = await run('stopped', { image: one })
  for (const state of ['started', 'started']) {
    expect((await api('POST', `${path}/stop`)).status).toBe(200)
    expect((await api('POST', `${path}/start`)).body).toMatchObject({ previous_state: 'stopped' })
    await wait(path, `state=${state}`)
  }
  await fly.fly.hostile({ faults: [{ fault: 'slow-stop', ms: 5000 }] })
  expect((await api('POST', `${path}/stop`)).status).toBe(200)
  expect(await api('POST', `${path}/start`)).toMatchObject({
    status: 412,
    body: { error: 'failed_precondition: machine still active, refusing to start' },
  })

  await wait(path, 'state=stopped')
  await fly.fly.hostile({ faults: [{ fault: 'slow-start', ms: 1500 }] })
  await api('POST', `${path}/start`)
  expect((await api('GET', `${path}/wait?state=started&timeout=1`)).status).toBe(408)
  await fly.fly.calm()
  await wait(path, 'state=started')
})

test('the control port switches the request limits; flyctl waits for its turn where others get 429', async () => {
  await app('limited')
  const ask = async (agent: string) =>
    (
      await fetch(`${fly.flyApi}/v1/apps/limited`, {
        headers: { authorization: `Bearer ${token}`, 'user-agent': agent },
      })
    ).status
  const asks = async (agent: string, times = 5) =>
    new Set(await Promise.all(Array.from({ length: times }, () => ask(agent))))
  expect(await asks('curl/8')).toEqual(new Set([200]))

  await fly.fly.limits(true)
  expect(await asks('curl/8')).toEqual(new Set([200, 429]))
  expect(await asks('flyctl/0.4.1 (interactive=false)', 2)).toEqual(new Set([200]))
  await fly.fly.limits(false)
  expect(await asks('curl/8')).toEqual(new Set([200]))
})

test('a fork without a region stays in that of its source; a machine’s mount says size and encryption, as scale count reads them', async () => {
  await app('forked')
  const own = { name: 'data', region: 'ams', size_gb: 2, encrypted: false }
  const { body: source } = await api('POST', '/apps/forked/volumes', own)
  const { body: fork } = await api('POST', '/apps/forked/volumes', {
    name: 'data',
    region: '',
    size_gb: null,
    encrypted: null,
    source_volume_id: source.id,
  })
  expect(fork).toMatchObject({ ...own, attached_machine_id: null })
  expect(fork.id).not.toBe(source.id)
  expect((await api('POST', '/apps/forked/volumes', { name: 'data' })).status).toBe(400)

  const config = { image: one, mounts: [{ volume: source.id, path: '/data' }] }
  const { body: made } = await api('POST', '/apps/forked/machines', { region: 'ams', config })
  expect(made.config.mounts).toEqual([
    { volume: source.id, path: '/data', name: 'data', size_gb: 2, encrypted: false },
  ])

  // flyctl's `scale count 2`: a volume as the mount says, and a machine with the config of the first.
  const [mount] = made.config.mounts
  const { body: volume } = await api('POST', '/apps/forked/volumes', {
    name: mount.name,
    region: 'ams',
    size_gb: mount.size_gb,
    encrypted: mount.encrypted,
    require_unique_zone: true,
    snapshot_id: null,
    compute: made.config.guest,
    compute_image: made.config.image,
  })
  expect(volume).toMatchObject(own)
  const mounts = [{ ...mount, volume: volume.id }]
  const second = { region: 'ams', config: { ...made.config, mounts } }
  expect((await api('POST', '/apps/forked/machines', second)).body.config.mounts).toEqual(mounts)
})

test('an unknown region is refused for machines and volumes', async () => {
  await app('nowhere')
  const config = { image: one }
  const refused = { status: 422, body: { error: 'region zz not found' } }
  expect(await api('POST', '/apps/nowhere/machines', { region: 'zz', config })).toMatchObject(
    refused,
  )
  expect(await api('POST', '/apps/nowhere/volumes', { region: 'zz', name: 'data' })).toMatchObject(
    refused,
  )
  expect((await api('GET', '/apps/nowhere/machines')).body).toEqual([])
})

test('addresses differ, and a Flycast address is on the chosen network', async () => {
  await app('addressed')
  await app('neighbour')
  const made = async (request: object, name = 'addressed'): Promise<string> =>
    (await api('POST', `/apps/${name}/ip_assignments`, request)).body.ip
  const v4 = [
    await made({ type: 'v4' }),
    await made({ type: 'v4' }),
    await made({ type: 'v4' }, 'neighbour'),
  ]
  expect(new Set(v4).size).toBe(3)

  const on = async (network?: string) =>
    (await made({ type: 'private_v6', network })).split('::')[0]
  expect(await on('blue')).toBe(await on('blue'))
  expect(new Set([await on(), await on('blue'), await on('green')]).size).toBe(3)

  const { data } = await graphql(
    '{ app(name: $appName) { ipAddresses { nodes { network { name } } } } }',
    { appName: 'addressed' },
  )
  const networks = data.app.ipAddresses.nodes.map(({ network }: any) => network?.name ?? null)
  expect(networks).toEqual([null, null, 'blue', 'blue', 'default', 'blue', 'green'])
})

test('the name of an app may begin with a digit, and not with a dash', async () => {
  const made = (name: string) => api('POST', '/apps', { name, org_slug: 'personal' })
  expect((await made('2048-game')).status).toBe(201)
  expect((await made('-game')).status).toBe(422)
})

test('a deploy token needs a body, and lasts for its given time', async () => {
  await app('expiring')
  expect(await api('POST', '/apps/expiring/deploy_token')).toMatchObject({
    status: 400,
    body: { error: 'EOF' },
  })
  const { body } = await api('POST', '/apps/expiring/deploy_token', { expiry: '1s' })
  expect((await api('GET', '/apps/expiring', undefined, body.token)).status).toBe(200)
  const status = async () => (await api('GET', '/apps/expiring', undefined, body.token)).status
  await expect.poll(status, { timeout: 5000 }).toBe(401)
})

test('the machines and volumes of an organisation are listed over all its apps, page by page', async () => {
  await app('listed', { org_slug: 'other' })
  await app('listed-too', { org_slug: 'other' })
  const made = async (name: string) => {
    await api('POST', `/apps/${name}/volumes`, { name: 'data', region: 'ams' })
    const { body } = await api('POST', `/apps/${name}/machines`, {
      config: { image: one },
      skip_launch: true,
    })
    await wait(`/apps/${name}/machines/${body.id}`, 'state=stopped')
    return body.id
  }
  const ids = [await made('listed'), await made('listed-too'), await made('listed')]
  const first = (await api('GET', '/orgs/other/machines?limit=2')).body
  const rest = (
    await api('GET', `/orgs/other/machines?cursor=${encodeURIComponent(first.next_cursor)}`)
  ).body
  const listed = [...first.machines, ...rest.machines]
  expect(listed.map(({ id, app_name }: any) => [id, app_name])).toEqual([
    [ids[0], 'listed'],
    [ids[1], 'listed-too'],
    [ids[2], 'listed'],
  ])
  expect(rest).not.toHaveProperty('next_cursor')
  expect(
    (await api('GET', `/orgs/other/machines?updated_after=${first.last_updated_at}`)).body,
  ).toEqual(rest)
  const { volumes } = (await api('GET', '/orgs/other/volumes?region=ams')).body
  expect(volumes.map(({ app_name }: any) => app_name)).toEqual(['listed', 'listed-too', 'listed'])
  const { token: scoped } = (await api('POST', '/apps/listed/deploy_token', {})).body
  expect((await api('GET', '/orgs/other/machines', undefined, scoped)).status).toBe(403)
  const log = `/apps/listed/machines/${ids[0]}/logs`
  expect((await api('GET', log)).status).toBe(200)
  expect((await api('GET', log, undefined, scoped)).status).toBe(403)
  expect((await api('GET', '/orgs/nobody/machines?limit=1')).status).toBe(403)
  expect((await api('GET', '/orgs/personal/machines?limit=1')).status).toBe(200)
})

test('every caller with a token can read regions, placements and its token', async () => {
  await app('tokens')
  const { body } = await api('POST', '/apps/tokens/deploy_token', { expiry: '1h' })
  const as = (path: string, method = 'GET', sent = {}) =>
    api(method, path, method === 'GET' ? undefined : sent, body.token)
  expect((await as('/platform/regions')).body).toMatchObject({
    Nearest: 'ams',
    Regions: expect.any(Array),
  })

  const placed = await as('/platform/placements', 'POST', { region: 'iad', org_slug: 'personal' })
  expect(placed.body.Regions).toMatchObject([{ Region: 'iad' }])
  expect((await as('/tokens/current')).body).toMatchObject({ tokens: [{ apps: ['tokens'] }] })
  expect((await as('/apps/images/secrets')).status).toBe(403)

  const asked = await graphql(
    'query { mine: app(name: $name) { id } }',
    { name: 'images' },
    body.token,
  )
  expect(asked).toMatchObject({ data: null, errors: [{ message: 'Could not find App' }] })
})

test('GraphQL answers flyctl’s queries by alias, and names unsupported fields', async () => {
  await app('asked')
  const { data } = await graphql(
    'query ($appName: String!) { appcompact:app(name: $appName) { id role: name } canPerformBluegreenDeployment(name: $appName) }',
    { appName: 'asked' },
  )
  expect(data).toMatchObject({
    appcompact: { name: 'asked', status: 'pending' },
    canPerformBluegreenDeployment: true,
  })

  const image = await graphql('query { app(name: $appName) { image(ref: $imageRef) { id } } }', {
    appName: 'asked',
    imageRef: one,
  })
  expect(image.data.app.image).toMatchObject({
    digest: one.split('@')[1],
    ref: one,
    compressedSize: '0',
  })

  // As flyctl sends it before it starts its agent.
  const peers = await graphql(
    'mutation ($input: ValidateWireGuardPeersInput!) { validateWireGuardPeers(input: $input) { invalidPeerIps } }',
    { input: { peerIps: ['fdaa:0:1::3'] } },
  )
  expect(peers.data.validateWireGuardPeers.invalidPeerIps).toEqual(['fdaa:0:1::3'])

  const none = await graphql('mutation { addWireGuardPeer(input: {}) { peerip } }', {})
  expect(none.errors[0].message).toContain("Field 'addWireGuardPeer' doesn't exist")
})

const base64 = (text: string) => Buffer.from(text).toString('base64')

async function api(
  method: string,
  path: string,
  body?: unknown,
  as = `Bearer ${token}`,
): Promise<{ status: number; body: any }> {
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  const answer = await fetch(`${fly.flyApi}/v1${path}`, {
    method,
    headers: { authorization: as },
    ...sent,
  })
  expect(answer.headers.get('fly-request-id')).toBeTruthy()
  const said = await answer.text()
  return { status: answer.status, body: said ? JSON.parse(said) : null }
}

async function graphql(query: string, variables: object, as = `Bearer ${token}`): Promise<any> {
  const body = JSON.stringify({ query, variables })
  return (
    await fetch(`${fly.flyApi}/graphql`, { method: 'POST', headers: { authorization: as }, body })
  ).json()
}

async function app(name: string, more = {}): Promise<void> {
  await api('POST', '/apps', { name, org_slug: 'personal', ...more })
}

async function wait(path: string, query: string): Promise<void> {
  expect(await api('GET', `${path}/wait?timeout=30&${query}`)).toMatchObject({ status: 200 })
}

/** Starts a machine, in an app that is created when it is missing. */
async function run(
  name: string,
  config: object,
  more = {},
): Promise<{ id: string; ip: string; path: string }> {
  await app(name)
  const { status, body } = await api('POST', `/apps/${name}/machines`, { config, ...more })
  expect({ status, error: body.error }).toEqual({ status: 200 })
  const path = `/apps/${name}/machines/${body.id}`
  await wait(path, 'state=started')
  return { id: body.id, ip: body.private_ip, path }
}
