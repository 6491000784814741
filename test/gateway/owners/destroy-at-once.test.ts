import { expect, test as each, vi } from 'vitest'
import type { ProblemBody } from '../../../api/problem/body.ts'
import { startOwners } from './start-owners.ts'

// Most of the time they wait for Fly's limits.
const test = each.concurrent
const slow = { timeout: 40_000 }

type Gateway = Awaited<ReturnType<typeof startOwners>>

/** Holds a call to Fly. `reached`: waits until it has come. */
function hold({ fly }: Gateway, on: RegExp) {
  const { promise: until, resolve: release } = Promise.withResolvers<void>()
  fly.holds.push({ on, until })
  const reached = () => vi.waitFor(() => expect(fly.holds).toEqual([]), { timeout: 10_000 })
  return { reached, release }
}

test.for([
  ['shared-app', 'delete', 'keep'],
  ['shared-app', 'delete', 'delete'],
  ['shared-app', 'keep', 'delete'],
  ['app-per-owner', 'delete', 'keep'],
  ['app-per-owner', 'keep', 'delete'],
] as const)(
  'nothing is left of an owner that is destroyed twice at once: %s, %s, %s',
  slow,
  async ([owners, first, second]) => {
    await using gateway = await startOwners({ owners })
    const { deployOwner, destroy, list, show } = gateway
    await deployOwner('ada')
    const answers = await Promise.all(
      [first, second].map((volumes) => destroy('ada', `volumes=${volumes}`)),
    )
    expect(answers.map(({ status }) => status)).toEqual([200, first === 'delete' ? 404 : 200])
    expect((await list()).owners).toEqual([])
    expect((await show('ada')).body.code).toBe('owner-not-found')
    expect(await deployOwner('ada')).toMatchObject({ state: 'live', release: 1 })
  },
)

test(
  'an owner that was never live and has no volumes is gone, also if its volumes are to be kept',
  slow,
  async () => {
    await using gateway = await startOwners({ owners: 'app-per-owner', flyToml: '', watchMs: 300 })
    const { deploy, destroy, list, images, fly } = gateway
    const broken = images.put('shop', 'broken')
    fly.natures.set(broken.digest, 'crashes')
    const failed = await deploy('shop', { image: broken.name }, { owner: 'ada' })
    expect(failed).toMatchObject({ state: 'deploy_failed' })
    expect((await destroy('ada', 'volumes=keep')).body).toMatchObject({ flyApp: failed.flyApp })
    expect((await list()).owners).toEqual([])
    expect(fly.apps.has(failed.flyApp)).toBe(false)
  },
)

test.for(['shared-app', 'app-per-owner'] as const)(
  'while an owner is destroyed nothing else changes it: %s',
  slow,
  async (owners) => {
    await using gateway = await startOwners({ owners })
    const { deployOwner, destroy, change, call } = gateway
    const { flyApp } = await deployOwner('ada')
    await deployOwner('bob')
    const deletion =
      owners === 'shared-app' ? /DELETE .*machines\/\w+$/ : new RegExp(`DELETE /apps/${flyApp}$`)
    const held = hold(gateway, deletion)
    const destroyed = destroy('ada', 'volumes=delete')
    await held.reached()

    const refused = {
      status: 409,
      body: { code: 'owner-not-ready', detail: expect.stringContaining('is being destroyed') },
    }
    for (const action of ['start', 'stop', 'suspend'])
      expect(await change('ada', action)).toMatchObject(refused)
    const source = { deployment: 'built' }
    const deployment = { source, owner: 'ada' }
    const move = await call<ProblemBody>('POST', '/v1/apps/shop/deployments', deployment)
    expect(move).toMatchObject(refused)
    const back = '/v1/apps/shop/rollback?owner=ada&release=1'
    expect(await call<ProblemBody>('POST', back)).toMatchObject(refused)
    expect((await change('bob', 'stop')).status).toBe(200)

    held.release()
    expect((await destroyed).status).toBe(200)
    expect((await deployOwner('ada')).state).toBe('live')
  },
)

test.for(['shared-app', 'app-per-owner'] as const)(
  'a change of an owner ends when its destroy begins, and says so: %s',
  slow,
  async (owners) => {
    await using gateway = await startOwners({ owners })
    const { deployOwner, destroy, change, show } = gateway
    await deployOwner('ada')
    await change('ada', 'stop')
    const held = hold(gateway, /POST .*\/start$/)
    const starting = change('ada', 'start')
    await held.reached()
    const destroyed = destroy('ada', 'volumes=delete')
    expect(await starting).toMatchObject({
      status: 409,
      body: { code: 'owner-not-ready', detail: expect.stringContaining('is being destroyed') },
    })
    held.release()
    expect((await destroyed).status).toBe(200)
    expect((await show('ada')).body.code).toBe('owner-not-found')
  },
)
