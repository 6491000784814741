import { expect, onTestFinished, test } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import type { RouterAnswer } from '#api/router/router.ts'
import { routesIn } from '../../../gateway/src/commands/router/routes.ts'
import { startMachines } from '../start-machines.ts'

type Settings = Parameters<typeof startMachines>[0]

/** A gateway, and calls about the router of its app `shop`. */
async function withShop(settings: Settings = {}) {
  const gateway = await startMachines(settings)
  onTestFinished(() => gateway[Symbol.asyncDispose]())
  const { call, fly, images } = gateway
  const ask = (body: object = {}) =>
    call<RouterAnswer & ProblemBody>('POST', '/v1/apps/shop/router', body)
  return {
    ...gateway,
    ask,
    page: images.put('shop', 'v1'),
    /** Deploys the router, built as an image of this tag. */
    build: async (tag: string, body: object = {}) => {
      const { digest } = images.put('shop-router', tag)
      const image = { reference: `${images.host}/shop-router@${digest}`, digest, tags: [] }
      const { deployment } = (await ask(body)).body
      return { digest, ...(await gateway.buildAndDeploy(deployment!, image)) }
    },
    /** What the machines of the router run. */
    runs: () =>
      fly.machines('shop-router').map(({ config, image_ref: image }) => ({
        digest: image?.digest,
        domain: config.env?.['TARMAC_ROUTER_DOMAIN'],
        owners: [...routesIn(config.env ?? {}).keys()],
      })),
  }
}

test('a router goes back to an earlier release, with the routes of now, and stays there', async () => {
  const { build, ask, runs, deploy, ended, page, store } = await withShop()
  const first = await build('r1', { domain: 'one.example.com' })
  expect(first).toMatchObject({ state: 'live', release: 1 })
  await deploy('shop', { image: page.name }, { owner: 'ada' })
  const newer = await build('r2', { domain: 'two.example.com' })
  const second = { digest: newer.digest, domain: 'two.example.com', owners: ['ada'] }
  expect(runs()).toEqual([second, second])

  const back = await ask({ release: 1 })
  expect(back).toMatchObject({ status: 202, body: { domain: 'one.example.com' } })
  expect((await ended(back.body.deployment!)).state).toBe('live')
  const earlier = { digest: first.digest, domain: 'one.example.com', owners: ['ada'] }
  expect(runs()).toEqual([earlier, earlier])
  expect(store.routers.find('shop')).toMatchObject({ domain: 'one.example.com' })
  expect((await ask({ release: 1 })).body.deployment).toBe(null)

  await deploy('shop', { image: page.name }, { owner: 'bob' })
  const withBob = { ...earlier, owners: ['ada', 'bob'] }
  expect(runs()).toEqual([withBob, withBob])
}, 60_000)

test('an owner that comes while a router goes back does not keep it at the newer release', async () => {
  const { build, ask, runs, deploy, page } = await withShop()
  const first = await build('r1', { domain: 'one.example.com' })
  await build('r2', { domain: 'two.example.com' })
  await ask({ release: 1 })
  const ada = await deploy('shop', { image: page.name }, { owner: 'ada' })
  expect(ada.state).toBe('live')
  const earlier = { digest: first.digest, domain: 'one.example.com', owners: ['ada'] }
  expect(runs()).toEqual([earlier, earlier])
}, 60_000)

test('a release that is not there, or goes with a domain, is refused; other ways say this one', async () => {
  const { build, ask, call } = await withShop()
  expect(await ask({ release: 1 })).toMatchObject({ status: 404, body: { code: 'app-not-found' } })
  await build('r1')
  const missing = await ask({ release: 7 })
  expect(missing).toMatchObject({ status: 404, body: { code: 'release-not-found' } })
  expect(missing.body.detail).toContain('tarmac releases shop-router')
  expect((await ask({ release: 1, domain: 'a.bc' })).body.code).toBe('option-invalid')

  const detail = expect.stringContaining('tarmac router shop --release N')
  const refused = { status: 400, body: { code: 'request-invalid', detail } }
  const { body } = await call<Deployment>('GET', '/v1/apps/shop-router/deployments?limit=1')
  const [{ id }] = (body as unknown as { deployments: [Deployment] }).deployments
  for (const path of ['apps/shop-router/rollback?release=1', `deployments/${id}/retry`])
    expect(await call<ProblemBody>('POST', `/v1/${path}`), path).toMatchObject(refused)
})

test('a router warns when new owners do not share its app', async () => {
  const { ask, call, build } = await withShop({ owners: 'app-per-owner' })
  const { warnings } = (await ask()).body
  expect(warnings).toEqual([expect.stringContaining('(TARMAC_OWNERS is app-per-owner)')])
  await call('PATCH', '/v1/apps/shop', { owners: 'shared-app' })
  expect((await ask()).body.warnings).toEqual([])
  await call('PATCH', '/v1/apps/shop', { owners: 'app-per-owner' })
  expect((await ask()).body.warnings).toEqual([
    expect.stringContaining('the setting owners of shop'),
  ])
  await build('r1')
  expect((await ask()).body).toMatchObject({ deployment: null, warnings: [expect.anything()] })
})

test('a router says which owners it does not lead to', async () => {
  const { ask, call, deploy, page } = await withShop({ owners: 'app-per-owner' })
  await deploy('shop', { image: page.name }, { owner: 'ada' })
  await call('PATCH', '/v1/apps/shop', { owners: 'shared-app' })
  expect((await ask()).body.warnings).toContainEqual(
    'The router leads to the owners that share shop. One owner has an app of its own, and the router does not lead there.',
  )
}, 20_000)
