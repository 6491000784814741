import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startSmallFly } from '../../../lab/localfly/start-small.ts'

const token = 'fly-secret'

/** Localfly without containers, and calls of its API. */
async function startFly() {
  const dir = mkdtempSync(join(tmpdir(), 'preview-api-'))
  const fly = await startSmallFly(dir, { token })
  onTestFinished(async () => {
    await fly[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true })
  })
  const api = async (
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: any }> => {
    const answer = await fetch(`${fly.flyApi}${path.startsWith('/graphql') ? '' : '/v1'}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const said = await answer.text()
    return { status: answer.status, body: said ? JSON.parse(said) : null }
  }
  const app = (name: string, more = {}) =>
    api('POST', '/apps', { name, org_slug: 'personal', ...more })
  const machine = async (of: string, more: { config?: object; [field: string]: unknown } = {}) => {
    const config = { image: 'registry.fly.io/x@sha256:1', ...more.config }
    const made = await api('POST', `/apps/${of}/machines`, { ...more, config })
    expect(made.status).toBe(200)
    const path = `/apps/${of}/machines/${made.body.id}`
    const state = more['skip_launch'] ? 'stopped' : 'started'
    expect(await api('GET', `${path}/wait?state=${state}`)).toMatchObject({ status: 200 })
    return { id: made.body.id as string, path, made: made.body }
  }
  return { api, app, machine }
}

test('an app is created in a network of its own, listed with its machines, and deleted with them', async () => {
  const { api, app, machine } = await startFly()
  expect(await app('pool-1', { network: 'pool-1' })).toMatchObject({ status: 201 })
  for (const network of ['1st', 'two words', '-x', 'a_b'])
    expect(await app('bad', { network })).toMatchObject({ status: 422 })
  expect(await app('pool-1')).toMatchObject({ status: 422, body: { status: 'name_taken' } })
  await app('usual')
  await app('theirs', { org_slug: 'acme' })
  const running = await machine('pool-1')
  await machine('pool-1', { skip_launch: true })

  const list = async (org: string) => (await api('GET', `/apps?org_slug=${org}`)).body
  const shown = ({ name, network, machine_count, status }: any) => [
    name,
    network,
    machine_count,
    status,
  ]
  expect((await list('personal')).apps.map(shown)).toEqual([
    ['pool-1', 'pool-1', 2, 'deployed'],
    ['usual', 'default', 0, 'pending'],
  ])
  expect(await list('acme')).toMatchObject({ total_apps: 1, apps: [{ name: 'theirs' }] })
  expect(await api('GET', '/apps?org_slug=elsewhere')).toMatchObject({ status: 403 })
  await app('foreign', { org_slug: 'elsewhere' })
  expect(await api('GET', '/apps/foreign/machines')).toMatchObject({ status: 403 })

  expect(await api('DELETE', '/apps/pool-1?force=true')).toMatchObject({ status: 202 })
  expect(await api('GET', running.path)).toMatchObject({ status: 404 })
  await app('pool-1')
  expect((await api('GET', '/apps/pool-1/machines?include_deleted=true')).body).toEqual([])
})

test('a Flycast address is in the default network unless another is named', async () => {
  const { api, app } = await startFly()
  await app('pool', { network: 'pool' })
  const add = async (more = {}) =>
    (await api('POST', '/apps/pool/ip_assignments', { type: 'private_v6', ...more })).body.ip
  const prefix = (ip: string) => ip.split('::')[0]
  const [usual, own, other] = [
    await add(),
    await add({ network: 'pool' }),
    await add({ org_slug: 'acme', network: 'pool' }),
  ].map(prefix)
  expect(new Set([usual, own, other]).size).toBe(3)
  expect(prefix(await add({ network: 'default' }))).toBe(usual)
  const { ips } = (await api('GET', '/apps/pool/ip_assignments')).body
  expect(Object.keys(ips[0])).not.toContain('org_slug')
})

test('a name is taken once in an app; a lease can begin with the machine; a running machine needs force', async () => {
  const { api, app, machine } = await startFly()
  await app('shop')
  const { id, path, made } = await machine('shop', { name: 'one', lease_ttl: 30 })
  const config = { image: 'registry.fly.io/x@sha256:1' }
  expect(await api('POST', '/apps/shop/machines', { name: 'one', config })).toMatchObject({
    status: 409,
    body: { error: expect.stringMatching(new RegExp(`^already_exists: .*${id}.*"one"`)) },
  })
  expect(made.nonce).toBeTruthy()
  expect(await api('POST', `${path}/stop`)).toMatchObject({ status: 409 })
  expect(await api('DELETE', `${path}?force=true`)).toMatchObject({ status: 409 })

  const free = await machine('shop', { name: 'two' })
  expect(await api('DELETE', free.path)).toMatchObject({ status: 412 })
  expect(await api('DELETE', `${free.path}?force=true`)).toMatchObject({ status: 200 })
  await api('GET', `${free.path}/wait?state=destroyed`)
  expect(await api('DELETE', `${free.path}?force=true`)).toMatchObject({ status: 404 })
  await machine('shop', { name: 'two' })
})

test('the list of machines is filtered by state, region, metadata and deletion, all at once', async () => {
  const { api, app, machine } = await startFly()
  await app('shop')
  const metadata = (owner: string) => ({ config: { metadata: { owner, kind: 'preview' } } })
  await machine('shop', { name: 'a', region: 'ams', ...metadata('ada') })
  await machine('shop', { name: 'b', region: 'iad', ...metadata('ada'), skip_launch: true })
  const gone = await machine('shop', { name: 'c', region: 'ams', ...metadata('bob') })
  await api('DELETE', `${gone.path}?force=true`)
  await api('GET', `${gone.path}/wait?state=destroyed`)
  const list = async (query: string) =>
    (await api('GET', `/apps/shop/machines?${query}`)).body.map(({ name }: any) => name)
  expect(await list('')).toEqual(['a', 'b'])
  expect(await list('include_deleted=true')).toEqual(['a', 'b', 'c'])
  expect(await list('metadata.owner=ada&metadata.kind=preview')).toEqual(['a', 'b'])
  expect(await list('metadata.owner=ada&metadata.kind=other')).toEqual([])
  expect(await list('metadata.owner=ada&state=started,suspended')).toEqual(['a'])
  expect(await list('region=ams&include_deleted=true')).toEqual(['a', 'c'])
  expect(await list('state=destroyed')).toEqual(['c'])
  const [short] = (await api('GET', '/apps/shop/machines?summary=true')).body
  expect(Object.keys(short)).toEqual(expect.arrayContaining(['id', 'name', 'state']))
  for (const name of ['config', 'checks', 'events', 'host_status', 'nonce'])
    expect(Object.keys(short)).not.toContain(name)
})

test('a machine is suspended and goes on; one with much memory, swap, a schedule or a GPU is not', async () => {
  const { api, app, machine } = await startFly()
  await app('shop')
  const { path } = await machine('shop')
  expect(await api('POST', `${path}/suspend`)).toEqual({ status: 200, body: { ok: true } })
  expect(await api('POST', `${path}/start`)).toMatchObject({
    body: { previous_state: expect.stringMatching(/^suspend/) },
  })
  await api('GET', `${path}/wait?state=started`)
  await api('POST', `${path}/suspend`)
  expect(await api('GET', `${path}/wait?state=suspended`)).toMatchObject({ status: 200 })
  const trail = (await api('GET', `${path}/events`)).body.map(
    ({ type, status, source }: any) => `${type}/${status}/${source}`,
  )
  expect(trail.slice(0, 2)).toEqual(['suspend/suspended/flyd', 'suspend/suspending/user'])
  expect(await api('POST', `${path}/exec`, { command: ['true'] })).toMatchObject({ status: 412 })

  for (const config of [
    { guest: { memory_mb: 4096, cpus: 2 } },
    { init: { swap_size_mb: 512 } },
    { schedule: 'daily' },
    { guest: { gpu_kind: 'a10', memory_mb: 2048 } },
  ]) {
    const { path } = await machine('shop', { config })
    expect(await api('POST', `${path}/suspend`)).toMatchObject({
      status: 412,
      body: { error: expect.stringContaining('unable to suspend machine') },
    })
    expect((await api('GET', path)).body.state).toBe('started')
  }
})

test('a machine with auto_destroy is destroyed when its program ends for good, or when it is stopped', async () => {
  const { api, app, machine } = await startFly()
  await app('shop')
  const { path } = await machine('shop', { config: { auto_destroy: true } })
  await api('POST', `${path}/stop`)
  await api('GET', `${path}/wait?state=destroyed`)
  const { body } = await api('GET', path)
  expect(body.events.slice(0, 2).map(({ type, status }: any) => `${type}/${status}`)).toEqual([
    'destroy/destroyed',
    'exit/stopped',
  ])
  expect((await api('GET', '/apps/shop/machines')).body).toEqual([])
})

test('network policies are made, changed, listed and deleted', async () => {
  const { api, app } = await startFly()
  await app('shop')
  const path = '/apps/shop/network_policies'
  const ports = [{ protocol: 'tcp', port: 443 }]
  const rules = [{ action: 'allow', direction: 'egress', ports }]
  const made = await api('POST', path, { name: 'web', selector: { all: true }, rules })
  expect(made).toMatchObject({ status: 200, body: { id: expect.any(String), name: 'web' } })
  const { id } = made.body
  await api('POST', path, { id, name: 'changed', selector: { metadata: { a: 'b' } }, rules: [] })
  expect((await api('GET', `${path}/`)).body).toMatchObject([{ id, name: 'changed', rules: [] }])
  for (const wrong of [
    { name: 'x', selector: { all: true }, rules: [{ ...rules[0], action: 'deny' }] },
    { name: 'x', selector: { all: true }, rules: [{ ...rules[0], direction: 'both' }] },
    { name: 'x', selector: { hosts: [] }, rules },
    { name: 'x', rules },
  ])
    expect(await api('POST', path, wrong)).toMatchObject({ status: 400 })
  expect(await api('POST', path, { ...made.body, id: 'unknown' })).toMatchObject({ status: 404 })
  expect((await api('DELETE', `${path}/${id}`)).status).toBe(200)
  expect((await api('DELETE', `${path}/${id}`)).status).toBe(404)
  expect((await api('GET', path)).body).toEqual([])
})

test('an organisation allows replays to its other networks, as flyctl asks for it', async () => {
  const { api } = await startFly()
  const ask = async () => {
    const query =
      'query($slug: String!) { organization(slug: $slug) { allowAllCrossNetworkReplays } }'
    const { body } = await api('POST', '/graphql', { query, variables: { slug: 'personal' } })
    return body.data.organization.allowAllCrossNetworkReplays
  }
  const set = (allow: boolean) =>
    api('POST', '/graphql', {
      query:
        'mutation($input: SetAllowAllCrossNetworkReplaysInput!) { setAllowAllCrossNetworkReplays(input: $input) { organization { slug allowAllCrossNetworkReplays } } }',
      variables: { input: { organizationSlug: 'personal', allow } },
    })
  expect(await ask()).toBe(false)
  await set(true)
  expect(await ask()).toBe(true)
  await set(false)
  expect(await ask()).toBe(false)
})

test.each([
  [{ memory_mb: 300 }, 'memory_mb, must be in 256 MiB increments'],
  [{ memory_mb: 128 }, 'memory_mb, minimum required 256 MiB'],
  [{ cpus: 4, memory_mb: 512 }, 'memory_mb, minimum required 1024 MiB'],
  [{ memory_mb: 4096 }, 'memory_mb, cannot exceed 2048 MiB'],
  [{ cpus: 3, memory_mb: 1024 }, 'cpus, must be one of [1 2 4 6 8]'],
  [{ cpu_kind: 'performance', memory_mb: 2560 }, 'memory_mb, must be in 1024 MiB increments'],
  [{ cpu_kind: 'fast' }, 'cpu_kind, must be shared or performance'],
])('a machine of a size that Fly does not sell is refused: %j', async (guest, why) => {
  const { api, app, machine } = await startFly()
  await app('shop')
  const config = { image: 'registry.fly.io/x@sha256:1', guest }
  const refused = { status: 400, body: { error: `invalid config.guest.${why}` } }
  expect(await api('POST', '/apps/shop/machines', { config })).toMatchObject(refused)
  const { path } = await machine('shop', { config: { guest: { cpus: 2, memory_mb: 4096 } } })
  expect(await api('POST', path, { config })).toMatchObject(refused)
})
