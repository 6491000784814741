import { expect, onTestFinished, test, vi } from 'vitest'
import type { NewEvent } from '#api/event.ts'
import type { ProblemBody } from '#api/problem/body.ts'
import type { RouterAnswer } from '#api/router/router.ts'
import { startMachines } from '../start-machines.ts'

/** A gateway with the app `shop`, and calls about its router. */
async function withShop() {
  const gateway = await startMachines()
  onTestFinished(() => gateway[Symbol.asyncDispose]())
  const { call, fly, images } = gateway
  const path = '/v1/apps/shop/router'
  const deployRouter = () => call<RouterAnswer & ProblemBody>('POST', path, {})
  return {
    ...gateway,
    page: images.put('shop', 'v1'),
    other: images.put('shop-router', 'x1'),
    deployRouter,
    /** The same while Fly does not answer. */
    failRouter: async () => {
      fly.faults.push(
        ...Array.from({ length: 20 }, () => ({
          on: /GET \/apps\/shop$/,
          fault: 'before' as const,
        })),
      )
      expect(await deployRouter()).toMatchObject({ status: 503, body: { code: 'fly-unavailable' } })
      fly.faults.length = 0
    },
    /** Its program is built and live. */
    live: async ({ body }: { body: RouterAnswer }) => {
      const { digest } = images.put('shop-router', 'r1')
      const image = { reference: `${images.host}/shop-router@${digest}`, digest, tags: [] }
      expect((await gateway.buildAndDeploy(body.deployment!, image)).state).toBe('live')
    },
    remove: () => call('DELETE', path),
  }
}

test('a router that was removed is made again', async () => {
  const { deployRouter, live, remove, fly } = await withShop()
  await live(await deployRouter())
  expect((await remove()).status).toBe(200)
  const again = await deployRouter()
  expect(again).toMatchObject({ status: 202, body: { router: 'shop-router' } })
  await live(again)
  expect(fly.machines('shop-router')).toHaveLength(2)
})

test('a router that could not be made leaves its name to another app, which gets no routes', async () => {
  const { failRouter, deployRouter, deploy, page, other, fly } = await withShop()
  await failRouter()
  expect((await deploy('shop-router', { image: other.name })).state).toBe('live')
  const ada = await deploy('shop', { image: page.name }, { owner: 'ada' })
  expect(ada).toMatchObject({ state: 'live', url: 'http://ada.shop.internal:8080' })
  expect(fly.machines('shop-router')[0]!.config.env).not.toHaveProperty('TARMAC_ROUTES_0')
  expect((await deployRouter()).body).toMatchObject({ code: 'app-name-taken' })
}, 20_000)

test('nobody deploys another program, or owners, to the app of a router', async () => {
  const { call, deployRouter, live, other } = await withShop()
  await live(await deployRouter())
  const source = { image: other.name }
  const owner = { source, owner: 'ada', trigger: 'router' }
  for (const body of [{ source }, { source, owner: 'ada' }, owner]) {
    const path = '/v1/apps/shop-router/deployments'
    expect(await call<ProblemBody>('POST', path, body)).toMatchObject({
      status: 400,
      body: { code: 'request-invalid', detail: expect.stringContaining('is the router of shop') },
    })
  }
  expect((await deployRouter()).body).toMatchObject({ deployment: null })
})

test('after a death of the gateway no owner waits for the router while others have not had their turn', async () => {
  const { deployRouter, live, store, ownerRoutes } = await withShop()
  await live(await deployRouter())
  vi.spyOn(store, 'hasSuspects').mockReturnValue(true) // the runner here ends them at once
  const said: NewEvent[] = []
  const emit = (event: NewEvent) => void said.push(event)
  const waiting = { emit, signal: AbortSignal.timeout(5000), isAlone: false }
  await ownerRoutes.route({ app: 'shop', owner: 'ada', machines: ['m1'] }, waiting)
  const text = expect.stringContaining('shop-router gets the route of ada afterwards')
  expect(said).toEqual([{ type: 'warning', text }])
})
