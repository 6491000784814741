import { expect, test } from 'vitest'
import type { Deployment, ImageFacts } from '../../../api/deployment.ts'
import { DeploymentOptions } from '../../../api/options.ts'
import type { ProblemBody } from '../../../api/problem/body.ts'
import type { DriftReport } from '../../../api/drift/report.ts'
import type { ReleaseDiff, ReleasePage } from '../../../api/release.ts'
import type { Rollout } from '../../../api/rollout.ts'
import { startMachines } from '../start-machines.ts'

test('a live deployment becomes a release; a rollback restores its image, config and env, and names changed secrets', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, call, ended, deploy } = gateway
  const [one, two] = [images.put('shop', 'v1'), images.put('shop', 'v2')]
  const first = await deploy(
    'shop',
    { image: one.name },
    { env: { COLOUR: 'red', OLD: 'yes' }, commit: 'abc' },
  )
  expect(first).toMatchObject({ state: 'live', release: 1, source: null, from: null, plan: null })

  fly.apps.get('shop')!.secrets = [
    { name: 'KEY', digest: 'd1' },
    { name: 'SAME', digest: 's' },
  ]
  const second = await deploy('shop', { image: two.name }, { env: { COLOUR: 'blue', NEW: 'yes' } })
  expect(second).toMatchObject({
    state: 'live',
    release: 2,
    from: { app: 'shop', owner: null, release: 1 },
  })

  const env = () => fly.machines('shop')[0]!.config.env
  // a deployment of an image keeps the running config
  expect(env()).toMatchObject({ COLOUR: 'blue', OLD: 'yes', NEW: 'yes' })

  const { releases } = await get<ReleasePage>('/v1/apps/shop/releases')
  expect(releases).toMatchObject([
    {
      number: 2,
      deployment: second.id,
      image: { digest: two.digest },
      env: { app: { COLOUR: 'blue', PORT: '8080' } },
      config: { app: { services: [{ internal_port: 8080 }] } },
      secrets: [{ name: 'KEY', digest: 'd1' }, { name: 'SAME' }],
    },
    { number: 1, deployment: first.id, image: { digest: one.digest }, secrets: [] },
  ])

  const diff = await get<ReleaseDiff>('/v1/apps/shop/releases/1/diff/2')
  expect(diff.differences).toEqual([
    { path: 'image', before: releases[1]!.image.reference, after: releases[0]!.image.reference },
    { path: 'env.app.COLOUR', before: 'red', after: 'blue' },
    { path: 'env.app.NEW', after: 'yes' },
    { path: 'secrets.KEY', after: 'd1' },
    { path: 'secrets.SAME', after: 's' },
  ])

  fly.apps.get('shop')!.secrets = [
    { name: 'SAME', digest: 's' },
    { name: 'LATER', digest: 'l' },
  ]
  const asked = () =>
    call<Deployment>('POST', '/v1/apps/shop/rollback', undefined, { 'idempotency-key': 'k' })
  const { status, body } = await asked()
  expect(status).toBe(202)

  const back = await ended(body.id)
  expect(back).toMatchObject({
    state: 'live',
    release: 3,
    image: { digest: one.digest },
    from: { release: 1 },
    options: { trigger: 'rollback', commit: 'abc' },
  })
  expect(back.log.flatMap((event) => (event.type === 'state' ? [event.state] : []))).toEqual([
    'pending',
    'deploying',
    'verifying',
    'live',
  ])
  expect(back.log.filter(({ type }) => type === 'warning')).toMatchObject([
    {
      text: 'A rollback does not restore secrets on Fly. Changed since release 1: SAME (added), LATER (added).',
    },
    { text: expect.stringMatching(/^This release lacks variables that release 2 had: NEW\./) },
    { text: expect.stringMatching(/^This release lacks secrets that release 2 had: KEY\./) },
    {
      text: 'Another tool has changed secrets on Fly since release 2 of shop: KEY (removed), LATER (added).',
    },
  ])
  expect(env()).toMatchObject({ COLOUR: 'red', OLD: 'yes' })
  expect(env()).not.toHaveProperty('NEW')
  expect((await asked()).body.id).toBe(back.id) // although the previous release is another one now

  const page = await get<ReleasePage>('/v1/apps/shop/releases?limit=2')
  expect(page.releases.map(({ number }) => number)).toEqual([3, 2])
  expect(await get<ReleasePage>(`/v1/apps/shop/releases?cursor=${page.next}`)).toMatchObject({
    releases: [{ number: 1 }],
    next: null,
  })
  expect((await get<ReleaseDiff>('/v1/apps/shop/releases/1/diff/3')).differences).toMatchObject([
    { path: 'secrets.SAME' },
    { path: 'secrets.LATER' },
  ])
  const retried = await call<Deployment>('POST', `/v1/deployments/${back.id}/retry`)
  expect(retried.status).toBe(202)
})

test(
  'a rollback restores the whole config: it removes what only later releases set, and keeps what no release set',
  { timeout: 30_000 },
  async () => {
    await using gateway = await startMachines()
    const { fly, images, get, call, ended, deploy, store, source } = gateway
    const { digest } = images.put('shop', 'v1')
    const image = { reference: `${images.host}/shop@${digest}`, digest, tags: [] }
    const released = async (id: string, flyToml: string) => {
      await gateway.writeFlyToml(flyToml)
      await store.create({
        id,
        app: 'shop',
        options: DeploymentOptions.parse({ deploy: false }),
        source,
      })
      await gateway.build(id, image)
      expect(await deploy('shop', { deployment: id })).toMatchObject({ state: 'live' })
    }
    const back = async (release: number) => {
      const { body } = await call<Deployment>('POST', `/v1/apps/shop/rollback?release=${release}`)
      expect(await ended(body.id)).toMatchObject({ state: 'live', from: { release } })
    }
    const diff = async (from: number, to: number) =>
      (await get<ReleaseDiff>(`/v1/apps/shop/releases/${from}/diff/${to}`)).differences
    const config = () => fly.machines('shop')[0]!.config
    const http = '[http_service]\ninternal_port = 80\n'
    const extra = { dns: { skip_registration: true }, metadata: { team: 'a' }, init: { tty: true } }
    const vm = { cpu_kind: 'shared', cpus: 2, memory_mb: 1024 }
    await released('one', http)
    const first = structuredClone(config())
    await released(
      'two',
      `machine_config = '${JSON.stringify(extra)}'\n${http}[[vm]]\ncpus = 2\nmemory = "1gb"`,
    )
    expect(config()).toMatchObject({ ...extra, guest: vm })

    await released('three', http) // as in flyctl, a setting that the fly.toml does not name stays
    expect(config()).toMatchObject({ ...extra, guest: vm })
    expect(await diff(2, 3)).toEqual([])
    expect((await diff(1, 3)).map(({ path }) => path).toSorted()).toEqual([
      'config.app.dns',
      'config.app.guest.cpus',
      'config.app.guest.memory_mb',
      'config.app.init.tty',
      'config.app.metadata.team',
    ])

    Object.assign(config(), { schedule: 'daily' })
    Object.assign(config().metadata!, { floor: '3' })

    await back(1)
    const { schedule, ...after } = config()
    expect([schedule, after.metadata!['floor']]).toEqual(['daily', '3'])
    expect(after).toMatchObject({ guest: first.guest, init: {} })
    expect([after['dns'], after.init, after.metadata!['team']]).toEqual([
      undefined,
      first.init,
      undefined,
    ])
    expect((await diff(1, 4)).map(({ path }) => path).toSorted()).toEqual([
      'config.app.metadata.floor',
      'config.app.schedule',
    ])
    expect((await get<DriftReport>('/v1/apps/shop/drift')).drift).toEqual([])

    config().guest!['cpus'] = 8
    expect((await get<DriftReport>('/v1/apps/shop/drift')).drift).toMatchObject([
      { differences: [{ path: 'guest.cpus', before: 1, after: 8 }] },
    ])
    await back(2)
    expect(config()).toMatchObject({ ...extra, guest: vm, schedule: 'daily' })

    for (const machine of fly.machines('shop')) machine.state = 'destroyed'
    await back(3)
    expect(config().guest).toEqual(vm) // the guest of the new machine
  },
)

test('deploys, rollbacks and retries of an image name its builder if the image went through the builder’s mirror', async () => {
  await using gateway = await startMachines({ builder: 'm1' })
  const { fly, images, call, ended, deploy, store, source } = gateway
  const through = (machine: string) => ({ via: 'mirror' as const, ms: 1, copyMs: 1, machine })
  const released = async (id: string, push: ImageFacts['push']) => {
    const { digest } = images.put('shop', id)
    const options = DeploymentOptions.parse({ deploy: false })
    await store.create({ id, app: 'shop', options, source })
    const reference = `${images.host}/shop@${digest}`
    await gateway.build(id, { reference, digest, tags: [], ...(push && { push }) })
    const { image } = await deploy('shop', { deployment: id })
    expect(image?.push).toEqual(push)
  }
  const builder = () => fly.machines('shop')[0]!.config.metadata!['fly_builder_id']
  await released('one', through('m1'))
  expect(builder()).toBe('m1')
  await released('two', { via: 'registry', ms: 1, reason: 'The mirror answered 401.' })
  expect(builder()).toBeUndefined()

  const back = await call<Deployment>('POST', '/v1/apps/shop/rollback?release=1')
  expect((await ended(back.body.id)).image?.push).toEqual(through('m1'))
  expect(builder()).toBe('m1')
  await released('three', through('an-earlier-machine'))
  expect(builder()).toBeUndefined()

  const again = await call<Deployment>('POST', `/v1/deployments/${back.body.id}/retry`)
  expect((await ended(again.body.id)).state).toBe('live')
  expect(builder()).toBe('m1')
})

test('a rollback to a missing release touches nothing and says so', async () => {
  await using gateway = await startMachines()
  const { images, call, deploy } = gateway
  const refused = async (query: string) => {
    const { status, body } = await call<ProblemBody>('POST', `/v1/apps/shop/rollback${query}`)
    return [status, body.code, body.detail]
  }
  expect(await refused('')).toEqual([
    404,
    'release-not-found',
    'There is no earlier release: shop has no release.',
  ])

  const [one, two] = [images.put('shop', 'v1'), images.put('shop', 'v2')]
  await deploy('shop', { image: one.name })
  expect(await refused('')).toEqual([
    404,
    'release-not-found',
    expect.stringContaining('one release, number 1'),
  ])
  expect(await refused('?release=7')).toEqual([
    404,
    'release-not-found',
    expect.stringContaining('no release 7'),
  ])
  expect(await refused('?release=x')).toEqual([
    422,
    'option-invalid',
    'The option release is invalid: expected a whole number.',
  ])

  await deploy('shop', { image: two.name })
  images.lose('shop', one.digest)
  expect(await refused('')).toEqual([
    410,
    'image-gone',
    expect.stringContaining('deploy its source again'),
  ])
  expect((await gateway.store.list('shop', { limit: 9, before: null })).deployments).toHaveLength(2)
})

test('a JSON body names exactly one source of a known kind', async () => {
  await using gateway = await startMachines()
  const { images, call, deploy } = gateway
  const image = images.put('shop', 'v1').name
  const refused = async (body: object, query = '') => {
    const answer = await call<ProblemBody>('POST', `/v1/apps/shop/deployments${query}`, body)
    return [answer.status, answer.body.detail]
  }
  expect(await refused({ source: { release: 1, image } })).toEqual([
    400,
    'source names both release and image; choose one.',
  ])
  expect(await refused({ source: { image, git: 'x' } })).toEqual([
    400,
    'source names both image and git; choose one.',
  ])
  expect(await refused({ source: { git: 'x' } })).toEqual([
    400,
    expect.stringContaining('The gateway does not accept source.'),
  ])
  expect(await refused({ source: 'x' })).toEqual([
    400,
    expect.stringContaining('one of image, deployment, release'),
  ])
  expect(await refused({ source: { release: 'three' } })).toEqual([
    400,
    expect.stringContaining('"release": 3'),
  ])
  expect(await refused({ source: { image }, regoin: 'fra' })).toEqual([
    422,
    'There is no option regoin. Did you mean region?',
  ])
  expect(await refused({ source: { image }, env: { '1A': 'x' } })).toEqual([
    422,
    expect.stringContaining('env.1A'),
  ])
  expect(await refused({ source: { image }, deploy: false })).toEqual([
    422,
    expect.stringContaining('nothing to do'),
  ])
  expect(await refused({ source: { image } }, '?region=fra')).toEqual([
    400,
    expect.stringContaining('fields of it'),
  ])
  expect(await refused({ source: { image: 'https://elsewhere.example/shop' } })).toEqual([
    422,
    expect.stringContaining('has no “https://”'),
  ])
  expect(await refused({ source: { image: '10.1.2.3:5000/shop:v1' } })).toEqual([
    422,
    expect.stringContaining('TARMAC_IMAGES'),
  ])
  expect(await refused({ source: { image: `${images.host}/shop:never` } })).toMatchObject([
    410,
    expect.any(String),
  ])
  expect(await refused({ source: { deployment: 'nobody' } })).toMatchObject([
    404,
    expect.any(String),
  ])
  expect(await refused({ source: { release: 4 } })).toMatchObject([404, expect.any(String)])

  // The release of another app, with its config, and what a deployment made.
  await deploy('shop', { image }, { env: { COLOUR: 'red' } })
  const other = await deploy('blog', { release: 1, app: 'shop' }, { env: { MORE: '1' }, count: 2 })
  expect(other).toMatchObject({ state: 'live', release: 1, from: { app: 'shop', release: 1 } })
  expect(gateway.fly.machines('blog').map(({ config }) => config.env)).toMatchObject([
    { COLOUR: 'red', MORE: '1' },
    { COLOUR: 'red', MORE: '1' },
  ])
  expect(await deploy('wiki', { deployment: other.id })).toMatchObject({
    state: 'live',
    from: { app: 'blog', release: 1 },
  })
})

test('an idempotency key gets the same answer after its image is gone; another request does not', async () => {
  await using gateway = await startMachines()
  const { images, call, ended } = gateway
  const { name: image, digest } = images.put('shop', 'v1')
  const headers = { 'idempotency-key': 'k' }
  const deployExisting = () =>
    call<Deployment>('POST', '/v1/apps/shop/deployments', { source: { image } }, headers)
  const rollOut = (more = {}) =>
    call<Rollout>(
      'POST',
      '/v1/rollouts',
      { source: { image }, targets: [{ app: 'blog' }], ...more },
      headers,
    )
  const [made, rolledOut] = [(await deployExisting()).body, (await rollOut()).body]
  await ended(made.id)
  const again = (id: string) =>
    call<Deployment>('POST', `/v1/deployments/${id}/retry?reuse-image=true`, undefined, {
      'idempotency-key': 'r',
    })
  const retried = await ended((await again(made.id)).body.id)
  await gateway.rolledOut(rolledOut.id)
  images.lose('shop', digest)
  expect(await deployExisting()).toMatchObject({ status: 202, body: { id: made.id } })
  expect(await again(made.id)).toMatchObject({ status: 202, body: { id: retried.id } })
  expect((await again(retried.id)).status).toBe(422)
  expect(await rollOut()).toMatchObject({ status: 202, body: { id: rolledOut.id } })
  expect((await rollOut({ parallel: 2 })).status).toBe(422)
})

test('public addresses are logged after a deploy, or released; the audit shows them and every difference from the release', async () => {
  for (const publicIps of ['report', 'release'] as const) {
    await using gateway = await startMachines({ publicIps })
    const { fly, images, call, get, deploy } = gateway
    const image = images.put('shop', 'v1').name
    await deploy('shop', { image }, { env: { COLOUR: 'red' } })
    const app = fly.apps.get('shop')!
    app.ips.push({ ip: '2001:db8::7' })
    expect(await get<DriftReport>('/v1/apps/shop/drift')).toMatchObject({
      made: true,
      ips: [{ public: false }, { ip: '2001:db8::7', public: true }],
      services: [{ group: 'app', service: { internal_port: 8080 } }],
      foreign: [],
      drift: [],
    })
    const { log } = await deploy('shop', { image })
    const warned = log.filter(({ type }) => type === 'warning')
    expect(warned).toMatchObject([{ text: expect.stringContaining('2001:db8::7') }])
    expect(app.ips.length).toBe(publicIps === 'report' ? 2 : 1)

    const [machine] = fly.machines('shop')
    machine!.config.env!['COLOUR'] = 'green'
    machine!.config.env!['FOREIGN'] = 'stays'
    const stray = structuredClone(machine!)
    app.machines.set('stray', {
      ...stray,
      id: 'stray',
      name: 'console',
      config: { image: 'x', metadata: {} },
    })
    expect(await get<DriftReport>('/v1/apps/shop/drift')).toMatchObject({
      foreign: [{ id: 'stray', name: 'console' }],
      drift: [
        {
          machine: machine!.id,
          release: 2,
          differences: [{ path: 'env.COLOUR', before: 'red', after: 'green' }],
        },
      ],
    })
    expect((await call('GET', '/v1/apps/nothing/drift')).status).toBe(404)
  }
})

test('an app is deleted only with its name repeated, and an app made elsewhere only with a further confirmation', async () => {
  await using gateway = await startMachines()
  const { fly, images, call, deploy, get, store } = gateway
  const image = images.put('shop', 'v1').name
  await deploy('shop', { image })
  const remove = async (query: string, app = 'shop') => {
    const { status, body } = await call<ProblemBody | null>('DELETE', `/v1/apps/${app}${query}`)
    return body ? [status, body.code] : [status]
  }
  expect(await remove('')).toEqual([422, 'option-invalid'])
  expect(await remove('?confirm=blog')).toEqual([422, 'option-invalid'])
  expect(await remove('?confirm=nothing', 'nothing')).toEqual([404, 'app-not-found'])

  const source = { digest: 'sha256:aa', files: 1, sizeBytes: 0 }
  await store.create({ id: 'waits', app: 'shop', options: DeploymentOptions.parse({}), source })
  expect(await remove('?confirm=shop')).toEqual([409, 'app-busy'])
  await store.requestCancel('waits', { by: null, why: null, abort: false })
  expect(await remove('?confirm=shop')).toEqual([204])
  expect(fly.apps.has('shop')).toBe(false)
  expect(await get('/v1/apps/shop/releases')).toEqual({ releases: [], next: null })
  // created again at once
  expect(await deploy('shop', { image })).toMatchObject({ state: 'live', release: 1 })

  await fetch(`${fly.url}/v1/apps/shop`, {
    method: 'DELETE',
    headers: { authorization: 'Bearer secret' },
  })
  fly.apps.set('shop', {
    id: 'another',
    name: 'shop',
    ips: [],
    machines: new Map(),
    volumes: [],
    secrets: [],
  })
  // somebody else created an app with that name
  expect(await remove('?confirm=shop')).toEqual([409, 'app-not-managed'])
  expect(await get<DriftReport>('/v1/apps/shop/drift')).toMatchObject({ made: false })

  fly.apps.set('theirs', { name: 'theirs', ips: [], machines: new Map(), volumes: [], secrets: [] })
  expect(await deploy('theirs', { image })).toMatchObject({ state: 'live' })
  expect(await remove('?confirm=theirs', 'theirs')).toEqual([409, 'app-not-managed'])
  expect(await remove('?confirm=theirs&foreign=true', 'theirs')).toEqual([204])
})
