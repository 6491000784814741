import { expect, onTestFinished, test } from 'vitest'
import type { Deployment, ImageFacts } from '#api/deployment.ts'
import type { NewEvent } from '#api/event.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import type { Rollout } from '#api/rollout.ts'
import type { RouterAnswer, RouterList } from '#api/router/router.ts'
import { follow } from '../../../gateway/src/deployments/follow.ts'
import { maxOwners, routesEnv, routesIn } from '../../../gateway/src/commands/router/routes.ts'
import { startMachines } from '../start-machines.ts'

type Settings = Parameters<typeof startMachines>[0]

/** A gateway whose app `shop` has a router that is live. */
async function withRouter(settings: Settings = {}) {
  const gateway = await startMachines(settings)
  onTestFinished(() => gateway[Symbol.asyncDispose]())
  const { call, images, fly } = gateway
  const deployRouter = (body: object = {}) =>
    call<RouterAnswer & ProblemBody>('POST', '/v1/apps/shop/router', body)
  const imageOf = (app: string, tag: string): ImageFacts => {
    const { digest } = images.put(app, tag)
    return { reference: `${images.host}/${app}@${digest}`, digest, tags: [] }
  }
  const made = await deployRouter()
  expect(made).toMatchObject({ status: 202, body: { app: 'shop', router: 'shop-router' } })
  const first = await gateway.buildAndDeploy(made.body.deployment!, imageOf('shop-router', 'r1'))
  expect(first.state).toBe('live')
  const page = images.put('shop', 'v1')
  return {
    ...gateway,
    deployRouter,
    imageOf,
    page,
    /** The owners that the machines of the router know. */
    routes: () => fly.machines('shop-router').map(({ config }) => routesIn(config.env ?? {})),
    machinesOf: (owner: string) =>
      fly
        .machines('shop')
        .filter(({ config }) => config.metadata?.['tarmac_owner'] === owner)
        .map(({ id }) => id),
    changes: async () => {
      const page = await gateway.get<{ deployments: Deployment[] }>(
        '/v1/apps/shop-router/deployments?limit=100',
      )
      return page.deployments.filter(({ options }) => options.trigger === 'router')
    },
  }
}

test(
  'an owner is live when the router knows its machine, at the address behind the router',
  { timeout: 60_000 },
  async () => {
    const { deploy, page, routes, machinesOf, fly, call } = await withRouter()
    const ada = await deploy('shop', { image: page.name }, { owner: 'ada' })
    expect(ada).toMatchObject({ state: 'live', url: 'http://shop-router.flycast/~ada/' })
    expect(ada.log.map((event) => 'text' in event && event.text).join('\n')).toContain(
      'shop-router learns which machine requests for ada go to',
    )
    const known = new Map([['ada', machinesOf('ada')]])
    expect(routes()).toEqual([known, known])
    const shown = { app: 'shop', router: 'shop-router', domain: null, deployment: null, owners: 1 }
    const { body: list } = await call<RouterList>('GET', '/v1/routers')
    expect(list.routers).toEqual([{ ...shown, release: expect.any(Number) }])
    expect((await call('GET', '/v1/apps/shop/router')).body).toMatchObject({
      ...shown,
      routes: [{ owner: 'ada', machines: machinesOf('ada') }],
    })
    // An address of its own would lead to the machine of any owner.
    expect(fly.apps.get('shop')!.ips).toEqual([])
    expect(fly.apps.get('shop-router')!.ips).toHaveLength(1)

    const again = await deploy(
      'shop',
      { image: page.name },
      { owner: 'ada', strategy: 'bluegreen' },
    )
    expect(again.state).toBe('live')
    const moved = new Map([['ada', machinesOf('ada')]])
    expect(moved).not.toEqual(known)
    expect(routes()).toEqual([moved, moved])
    const app = await deploy('shop', { image: page.name })
    expect(app).toMatchObject({ state: 'live', url: 'http://shop.flycast' })

    expect((await call('DELETE', '/v1/apps/shop?confirm=shop')).status).toBe(204)
    expect([...fly.apps.keys()]).toEqual([])
    expect((await call('DELETE', '/v1/apps/shop/router')).status).toBe(404)
  },
)

test(
  'owners that hold every place at the machines do not keep the router from its own deployment',
  { timeout: 120_000 },
  async () => {
    const { call, rolledOut, page, routes, machinesOf, changes } = await withRouter({ deploys: 2 })
    const owners = ['ada', 'bob', 'cleo', 'dan']
    const { body } = await call<Rollout>('POST', '/v1/rollouts', {
      source: { image: page.name },
      targets: owners.map((owner) => ({ app: 'shop', owner })),
      parallel: 4,
    })
    const { targets } = await rolledOut(body.id)
    expect(targets.map(({ state }) => state)).toEqual(owners.map(() => 'live'))
    const known = new Map(owners.map((owner) => [owner, machinesOf(owner)]))
    expect(routes()).toEqual([known, known])
    const states = (await changes()).map(({ state }) => state)
    expect(states.filter((state) => state !== 'live' && state !== 'superseded')).toEqual([])
  },
)

test(
  'a router that fails fails the owner’s deployment, and nothing of it stays',
  { timeout: 60_000 },
  async () => {
    const { deploy, page, routes, machinesOf, fly, call, ended, changes } = await withRouter()
    await deploy('shop', { image: page.name }, { owner: 'ada' })
    const before = routes()
    const digest = fly.machines('shop-router')[0]!.image_ref!.digest!
    fly.natures.set(digest, 'check-fails')
    fly.natures.set(digest, 'crashes')
    const bob = await deploy('shop', { image: page.name }, { owner: 'bob' })
    expect(bob).toMatchObject({ state: 'deploy_failed', problem: { code: 'deploy-failed' } })
    expect(bob.problem!.detail).toContain('shop did not learn which machine requests for bob go to')
    expect(bob.problem!.detail).toContain(`See tarmac follow ${(await changes())[0]!.id}`)
    expect(machinesOf('bob')).toEqual([])
    expect(routes()).toEqual(before)

    fly.natures.set(digest, 'good')
    const { body } = await call<Deployment>('POST', `/v1/deployments/${bob.id}/retry`)
    expect((await ended(body.id)).state).toBe('live')
  },
)

test('a cancelled deployment stops waiting for the router', { timeout: 60_000 }, async () => {
  const { call, ended, page, machinesOf, deployRouter, store } = await withRouter()
  // A build of the router, which nobody ends: the owner waits for it.
  const build = await deployRouter({ domain: 'users.example.com' })
  expect(build.status).toBe(202)
  const { body } = await call<Deployment>('POST', '/v1/apps/shop/deployments', {
    source: { image: page.name },
    owner: 'ada',
  })
  for await (const event of follow(store, body.id, 0, AbortSignal.timeout(15_000))) {
    if ('text' in event && event.text?.includes('Waiting for')) break
  }
  const path = `/v1/deployments/${body.id}/cancel?abort=true`
  expect((await call('POST', path)).status).toBe(202)
  expect((await ended(body.id)).state).toBe('cancelled')
  expect(machinesOf('ada')).toEqual([])
})

test(
  'a deployment that runs alone does not wait for a build of the router, and its route follows',
  { timeout: 60_000 },
  async () => {
    const gateway = await withRouter()
    const { ownerRoutes, deployRouter, deploy, page, fly, machinesOf, routes, imageOf } = gateway
    await deploy('shop', { image: page.name }, { owner: 'ada' })
    const { body } = await deployRouter({ domain: 'users.example.com' })
    const [machine] = [...fly.apps.get('shop')!.machines.values()]
    const moved = { ...machine!, id: 'moved' }
    fly.apps.set('shop', { ...fly.apps.get('shop')!, machines: new Map([['moved', moved]]) })

    const said: NewEvent[] = []
    const signal = AbortSignal.timeout(10_000)
    const waiting = { emit: (event: NewEvent) => void said.push(event), signal, isAlone: true }
    await ownerRoutes.route({ app: 'shop', owner: 'ada', machines: ['moved'] }, waiting)
    const text = expect.stringContaining('shop-router gets the route of ada afterwards')
    expect(said).toEqual([{ type: 'warning', text }])

    const image = imageOf('shop-router', 'r2')
    expect((await gateway.buildAndDeploy(body.deployment!, image)).state).toBe('live')
    await expect
      .poll(routes, { timeout: 20_000 })
      .toEqual([new Map([['ada', machinesOf('ada')]]), new Map([['ada', ['moved']]])])
  },
)

test(
  'the comparison with Fly removes an owner without machines, and changes nothing else',
  { timeout: 60_000 },
  async () => {
    const { deploy, page, routes, machinesOf, fly, ownerRoutes, ended } = await withRouter()
    for (const owner of ['ada', 'bob']) await deploy('shop', { image: page.name }, { owner })
    const sync = (app: string) => ownerRoutes.sync(app, AbortSignal.timeout(10_000))
    expect(await sync('shop')).toBe(null)
    expect(await sync('other')).toBe(null)
    for (const id of machinesOf('ada')) fly.apps.get('shop')!.machines.delete(id)
    const change = await sync('shop')
    expect((await ended(change!.id)).state).toBe('live')
    expect(routes()[0]).toEqual(new Map([['bob', machinesOf('bob')]]))
  },
)

test(
  'sent again it does nothing, and another domain deploys it again with its routes',
  { timeout: 60_000 },
  async () => {
    const { deployRouter, deploy, page, routes, buildAndDeploy, imageOf, call, fly } =
      await withRouter()
    await deploy('shop', { image: page.name }, { owner: 'ada' })
    expect(await deployRouter()).toMatchObject({ status: 200, body: { deployment: null } })
    const before = routes()
    const { body } = await deployRouter({ domain: 'users.example.com' })
    const image = imageOf('shop-router', 'r2')
    expect((await buildAndDeploy(body.deployment!, image)).state).toBe('live')
    expect(routes()).toEqual(before)
    expect(fly.machines('shop-router')[0]!.config.env).toMatchObject({
      TARMAC_ROUTER_DOMAIN: 'users.example.com',
    })

    const removed = await call<RouterAnswer>('DELETE', '/v1/apps/shop/router')
    expect(removed).toMatchObject({ status: 200, body: { router: 'shop-router' } })
    expect(fly.apps.has('shop-router')).toBe(false)
    expect((await call('DELETE', '/v1/apps/shop/router')).status).toBe(404)
    const ada = await deploy('shop', { image: page.name }, { owner: 'ada' })
    expect(ada).toMatchObject({ state: 'live', url: 'http://ada.shop.internal:8080' })
  },
)

test('refuses names that are taken, too long or a router’s, and says what is reached beside it', async () => {
  const gateway = await startMachines()
  onTestFinished(() => gateway[Symbol.asyncDispose]())
  const { call, deploy, images } = gateway
  const post = (app: string, body: object = {}) =>
    call<RouterAnswer & ProblemBody>('POST', `/v1/apps/${app}/router`, body)
  await deploy('shop', { image: images.put('shop', 'v1').name })
  await deploy('blog-router', { image: images.put('blog-router', 'v1').name })
  expect((await post('blog')).body).toMatchObject({ code: 'app-name-taken' })
  expect((await post('a'.repeat(60))).body).toMatchObject({ code: 'app-name-invalid' })
  expect((await post('shop', { domain: 'Users' })).body).toMatchObject({ code: 'option-invalid' })
  const made = await post('shop')
  expect(made.status).toBe(202)
  expect(made.body.warnings).toEqual([
    expect.stringContaining('a request there reaches the machine of any owner'),
  ])
  expect((await post('shop-router')).body).toMatchObject({ code: 'option-invalid' })
})

test('routes are split into variables below the limit of Linux, and have a limit of owners', () => {
  const owners = Array.from({ length: maxOwners }, (_, n): [string, string[]] => [
    `owner-${n}-${'x'.repeat(50)}`,
    ['148e0000000001', '148e0000000002'],
  ])
  const env = routesEnv(new Map(owners))
  expect(Object.keys(env)).toEqual(['TARMAC_ROUTES_0', 'TARMAC_ROUTES_1', 'TARMAC_ROUTES_2'])
  for (const part of Object.values(env)) expect(part.length).toBeLessThan(100_000)
  expect(routesIn(env)).toEqual(new Map(owners))
  expect(() => routesEnv(new Map([...owners, ['one-more', ['m1']]]))).toThrow(
    'knows at most 2000 owners',
  )
})
