import { describe, expect, test } from 'vitest'
import { isFinal } from '#api/deployment.ts'
import { DeploymentOptions, lanePolicies } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { follow } from '../../../gateway/src/deployments/follow.ts'
import { touchesMachines } from '../../../gateway/src/deployments/states.ts'
import type { SecretStore } from '../../../gateway/src/deployments/secret-store.ts'
import { leaseMs, type DeploymentStore } from '../../../gateway/src/deployments/store.ts'

const options = DeploymentOptions.parse({})
const asks = (lane: DeploymentOptions['lane'], more: Partial<DeploymentOptions> = {}) => ({
  ...options,
  lane,
  ...more,
})
const source = { digest: 'sha256:aa', files: 1, sizeBytes: 2 }
const image = { reference: 'r/shop@sha256:bb', digest: 'sha256:bb', tags: [] }
const toMachines = [
  ['fetching', 'analyzing'],
  ['analyzing', 'building'],
  ['building', 'deploying'],
] as const
const never = new AbortController().signal
const version = { instanceId: 'i1', image: 'r/shop@sha256:bb' }
const machine = {
  id: 'm1',
  name: 'm',
  region: 'ams',
  before: null,
  tried: version,
  after: version,
  outcome: 'touched' as const,
}

/** The contract of every store, whatever holds its records. */
export function storeContract(open: (now?: () => number) => DeploymentStore & SecretStore): void {
  const make = async (id = 'd1', app = 'shop') => {
    const store = open()
    await store.create({ id, app, options, source })
    return store
  }

  describe('a store', () => {
    test('makes a new deployment with its number, its state and its first event together', async () => {
      await using store = await make()
      expect(await store.find('d1')).toMatchObject({
        number: 1,
        state: 'pending',
        attempt: 0,
        source,
        endedAt: null,
      })
      expect(await store.eventsAfter('d1', 0, 10)).toMatchObject([
        { seq: 1, type: 'state', from: null, state: 'pending' },
      ])
    })

    test('counts the time in each state, over all attempts, and since when it is in the present one', async () => {
      let now = Date.parse('2026-11-30T00:00:00.000Z')
      await using store = open(() => now)
      await store.create({ id: 'd1', app: 'shop', options, source })
      const phases = async () => {
        const found = await store.find('d1')
        return [found!.phases, found!.stateSince]
      }
      now += 1000
      const { epoch } = (await store.claim())!
      expect(await phases()).toEqual([{ pending: 1000 }, '2026-11-30T00:00:01.000Z'])
      now += 200
      await store.advance({ id: 'd1', epoch }, 'fetching', 'analyzing')
      await store.amend({ id: 'd1', epoch }, { url: 'http://shop' })
      now += 30
      await store.advance({ id: 'd1', epoch }, 'analyzing', 'pending')
      now += 500
      await store.claim()
      expect(await phases()).toEqual([
        { pending: 1500, fetching: 200, analyzing: 30 },
        '2026-11-30T00:00:01.730Z',
      ])
    })

    test('a newer pending deployment supersedes the older pending one of its app, and no other', async () => {
      await using store = await make()
      await store.create({ id: 'other', app: 'blog', options, source })
      await store.create({ id: 'd2', app: 'shop', options, source })
      expect(await store.find('d1')).toMatchObject({
        state: 'superseded',
        problem: { code: 'superseded' },
      })
      expect(await store.find('other')).toMatchObject({ state: 'pending' })
      expect((await store.eventsAfter('d1', 1, 10))[0]).toMatchObject({
        seq: 2,
        state: 'superseded',
      })
    })

    test('an app has at most one running deployment', async () => {
      await using store = await make()
      const first = await store.claim()
      expect(first?.deployment).toMatchObject({ id: 'd1', state: 'fetching', attempt: 1 })
      await store.create({ id: 'd2', app: 'shop', options, source })
      expect(await store.claim()).toBeNull()
      const holder = { id: 'd1', epoch: first!.epoch }
      const problem = new Problem('build-failed', 'no').body()
      expect(await store.advance(holder, 'fetching', 'build_failed', { problem })).toBe(true)
      expect((await store.claim())?.deployment.id).toBe('d2')
    })

    test('owners of one app have their own lanes, in parallel', async () => {
      await using store = open()
      const create = (id: string, owner: string | null) =>
        store.create({ id, app: 'shop', options: { ...options, owner }, source })
      await create('all', null)
      await create('alice1', 'alice')
      await create('bob', 'bob')
      expect(await create('alice2', 'alice')).toMatchObject({ owner: 'alice', number: 4 })
      expect(await store.find('alice1')).toMatchObject({
        state: 'superseded',
        supersededBy: 'alice2',
      })

      const claimed = [
        await store.claim(),
        await store.claim(),
        await store.claim(),
        await store.claim(),
      ]
      expect(claimed.map((claim) => claim?.deployment.id)).toEqual([
        'all',
        'bob',
        'alice2',
        undefined,
      ])
      expect(claimed[0]!.deployment.owner).toBeNull()
    })

    test('a rollback goes before waiting deployments, which then end without a build', async () => {
      await using store = await make()
      const running = (await store.claim())!
      for (const id of ['d2', 'd3'])
        await store.create({ id, app: 'shop', options: asks('fifo'), source })
      const rollback = { from: 9, to: 7 }
      const back = { id: 'back', app: 'shop', options: asks('fifo'), source: null, image, rollback }
      expect(await store.create(back)).toMatchObject({ rollback, retryOf: null })
      expect(await store.eventsAfter('back', 0, 1)).toMatchObject([
        { state: 'pending', reason: 'a rollback from release 9 to release 7' },
      ])

      const problem = new Problem('build-failed', 'no').body()
      await store.advance({ id: 'd1', epoch: running.epoch }, 'fetching', 'build_failed', {
        problem,
      })
      const claim = (await store.claim())!
      expect(claim.deployment).toMatchObject({ id: 'back', state: 'deploying' })
      const holder = { id: 'back', epoch: claim.epoch }
      await store.advance(holder, 'deploying', 'verifying')
      await store.advance(holder, 'verifying', 'live')
      expect(await store.claim()).toBeNull()
      for (const id of ['d2', 'd3'])
        expect(await store.find(id)).toMatchObject({ state: 'superseded', supersededBy: 'back' })
    })

    test('a retry names what it retries, and a key finds what it made', async () => {
      await using store = await make()
      const key = { idempotencyKey: 'k1' }
      await store.create({ id: 'd2', app: 'shop', options, source, retryOf: 'd1', ...key })
      expect(await store.find('d2')).toMatchObject({ retryOf: 'd1', rollback: null })
      expect(await store.eventsAfter('d2', 0, 1)).toMatchObject([
        { reason: 'a retry of deployment d1, with its kept source' },
      ])
      const made = async (app: string, key: string) =>
        (await store.list(app, { limit: 9, before: null, key })).deployments.map(({ id }) => id)
      expect([
        await made('shop', 'k1'),
        await made('shop', 'k2'),
        await made('blog', 'k1'),
      ]).toEqual([['d2'], [], []])
    })

    test('fifo supersedes nothing, is superseded by nothing, and keeps its order', async () => {
      await using store = open()
      for (const [id, lane] of [
        ['d1', 'fifo'],
        ['d2', 'fifo'],
        ['d3', 'fifo'],
        ['d4', 'latest'],
      ] as const)
        await store.create({ id, app: 'shop', options: asks(lane), source })
      for (const id of ['d1', 'd2', 'd3', 'd4']) {
        const { deployment, epoch } = (await store.claim())!
        expect(deployment.id).toBe(id)
        expect(await store.claim()).toBeNull()
        const problem = new Problem('build-failed', 'no').body()
        await store.advance({ id, epoch }, 'fetching', 'build_failed', { problem })
      }
    })

    test('reject creates nothing while the lane has an unfinished deployment, and names it', async () => {
      await using store = await make()
      const again = (more = {}) =>
        store.create({
          id: 'd2',
          app: 'shop',
          options: asks('reject', more),
          source,
          idempotencyKey: 'k',
        })
      await expect(again()).rejects.toMatchObject({
        code: 'lane-busy',
        status: 409,
        facts: { deployment: 'd1', state: 'pending' },
      })
      expect(await store.find('d2')).toBeNull()

      const early = (idempotencyKey: string | null, more = {}) =>
        store.refuseBusyLane({ app: 'shop', options: asks('reject', more), idempotencyKey })
      await expect(early('k')).rejects.toMatchObject({
        code: 'lane-busy',
        facts: { deployment: 'd1' },
      })

      await early(null, { owner: 'alice' })
      await store.requestCancel('d1', { by: null, why: null, abort: false })
      await early(null)
      expect(await again()).toMatchObject({ id: 'd2' })
      expect(await again()).toMatchObject({ id: 'd2' })
      await early('k')
      await expect(early('other')).rejects.toMatchObject({ facts: { deployment: 'd2' } })
      const alice = { id: 'd3', app: 'shop', options: asks('reject', { owner: 'alice' }), source }
      expect(await store.create(alice)).toMatchObject({ id: 'd3' })
    })

    test('cancel-running stops the running deployment until it touches machines, and that survives a crash', async () => {
      await using store = await make()
      const { epoch } = (await store.claim())!
      await store.create({ id: 'd2', app: 'shop', options: asks('latest'), source })
      expect(await store.find('d1')).toMatchObject({ state: 'fetching', supersededBy: null })

      await store.create({ id: 'd3', app: 'shop', options: asks('cancel-running'), source })
      expect(await store.find('d2')).toMatchObject({ state: 'superseded', supersededBy: 'd3' })
      expect(await store.find('d1')).toMatchObject({ state: 'fetching', supersededBy: 'd3' })
      expect(await store.advance({ id: 'd1', epoch }, 'fetching', 'analyzing')).toBe(false)

      await store.recover('The gateway was killed')
      expect(await store.find('d1')).toMatchObject({
        state: 'superseded',
        problem: { supersededBy: 'd3' },
      })

      const holder = { id: 'd3', epoch: (await store.claim())!.epoch }
      for (const [from, to] of toMachines) await store.advance(holder, from, to)
      await store.amend(holder, { rollout: 'about to' })
      await store.create({ id: 'd4', app: 'shop', options: asks('cancel-running'), source })
      expect(await store.find('d3')).toMatchObject({ state: 'deploying', supersededBy: null })
    })

    test('cancel and cancel-running still work during a deploy that has touched nothing yet', async () => {
      await using store = await make()
      const holder = { id: 'd1', epoch: (await store.claim())!.epoch }
      for (const [from, to] of toMachines) await store.advance(holder, from, to)
      expect(await store.requestCancel('d1', { by: 'ada', why: null, abort: false })).toMatchObject(
        {
          state: 'deploying',
        },
      )
      expect(await store.advance(holder, 'deploying', 'cancelled')).toBe(true)

      await store.create({ id: 'd2', app: 'shop', options, source, image })
      await store.claim()
      await store.create({ id: 'd3', app: 'shop', options: asks('cancel-running'), source })
      expect(await store.find('d2')).toMatchObject({ state: 'deploying', supersededBy: 'd3' })
    })

    test('a build-only deployment does not supersede a deploy', async () => {
      await using store = await make()
      await store.create({
        id: 'd2',
        app: 'shop',
        options: asks('latest', { deploy: false }),
        source,
      })
      expect((await store.find('d1'))!.state).toBe('pending')

      await store.create({ id: 'd3', app: 'shop', options: asks('latest'), source })
      expect([(await store.find('d1'))!.state, (await store.find('d2'))!.state]).toEqual([
        'superseded',
        'superseded',
      ])
    })

    test('a deployment that waited too long ends with its limit, counted from its last entry into the queue', async () => {
      let now = Date.parse('2026-01-01')
      await using store = open(() => now)
      for (const id of ['d1', 'd2']) await store.create({ id, app: id, options, source })
      await store.claim()
      now += 60_000
      await store.recover('The gateway was killed')
      await store.expireQueued(30_000)
      expect(await store.find('d1')).toMatchObject({ state: 'pending' })
      expect(await store.find('d2')).toMatchObject({
        state: 'build_failed',
        problem: { code: 'time-limit', state: 'pending', limitMs: 30_000 },
      })
    })

    const problem = new Problem('build-failed', 'no').body()
    const all = { builds: 9, appBuilds: 9, deploys: 9 }
    /**
     * Simulates the start of a gateway, on the first boot of the machine unless another is named.
     */
    const starts = async (store: DeploymentStore, boot = 'boot 1', maxDeaths = 3) =>
      (await store.startLife({ boot, maxDeaths }, 'The gateway was killed')).claims
    const claimAll = async (store: DeploymentStore) => {
      const claims = []
      for (let claim; (claim = await store.claim(all));) claims.push(claim)
      return claims
    }
    const idsOf = (claims: { deployment: { id: string } }[]) =>
      claims.map(({ deployment }) => deployment.id)

    test('work that a crash interrupted resumes one at a time, before all other work, until it has left its state', async () => {
      await using store = open()
      await starts(store)
      for (const id of ['a', 'b', 'c']) await store.create({ id, app: id, options, source })
      const [a, b] = (await claimAll(store)).map(({ epoch, deployment }) => ({
        id: deployment.id,
        epoch,
      }))
      await store.advance(a!, 'fetching', 'analyzing')
      await store.advance(b!, 'fetching', 'build_failed', { problem })
      await starts(store)
      await store.create({ id: 'd', app: 'd', options, source })
      const first = await claimAll(store)
      expect(first).toMatchObject([{ deployment: { id: 'a' }, suspect: true }])

      await store.publishQueuePositions(all)
      expect((await store.eventsAfter('d', 1, 9))[0]).toMatchObject({
        type: 'waiting',
        for: 'recovery',
        place: 2,
      })

      const holder = { id: 'a', epoch: first[0]!.epoch }
      await store.advance(holder, 'fetching', 'analyzing')
      expect(await claimAll(store)).toEqual([])
      await store.advance(holder, 'analyzing', 'building')
      expect(await claimAll(store)).toEqual([]) // it is cleared, but the next one must run alone

      await store.advance(holder, 'building', 'build_failed', { problem })
      const [second, ...more] = await claimAll(store)
      expect([second, more]).toMatchObject([{ deployment: { id: 'c' }, suspect: true }, []])
      const c = { id: 'c', epoch: second!.epoch }
      await store.advance(c, 'fetching', 'analyzing')
      expect(await claimAll(store)).toMatchObject([{ deployment: { id: 'd' }, suspect: false }])
    })

    test('a crash counts only against a deployment that ran alone, and the third one ends it', async () => {
      await using store = open()
      await starts(store)
      for (const id of ['bad', 'good']) await store.create({ id, app: id, options, source })
      await claimAll(store)
      const trials: string[][] = []
      for (let deaths = 0; deaths < 9 && (await store.find('bad'))!.endedAt === null; deaths++) {
        await starts(store)
        const claims = await claimAll(store)
        trials.push(idsOf(claims))
        const good = claims.find(({ deployment }) => deployment.id === 'good')
        if (!good) continue // the gateway crashes here
        await store.advance({ id: 'good', epoch: good.epoch }, 'fetching', 'build_failed', {
          problem,
        })
        trials.push(idsOf(await claimAll(store)))
      }
      expect(trials.flat().filter((id) => id === 'bad')).toHaveLength(3)
      expect(trials.every((trial) => trial.length <= 1)).toBe(true)

      const { state, problem: end } = (await store.find('bad'))!
      expect(state).toBe('build_failed')
      expect(end).toMatchObject({
        code: 'gateway-died',
        fault: 'gateway',
        retry: false,
        state: 'fetching',
        deaths: 3,
      })
      expect((await store.find('good'))!.problem).toMatchObject({ code: 'build-failed' })
    })

    test('a crash counts when one deployment ran alone from the start; clean gateway exits keep the count', async () => {
      await using store = await make()
      await starts(store)
      await store.claim()
      for (const gatewayStops of [true, false, true]) {
        await starts(store)
        expect(await store.find('d1')).toMatchObject({ state: 'pending' })
        await store.claim()
        if (gatewayStops) await store.endLife()
      }
      await starts(store) // deaths: 1, none, 2, none
      expect(await store.find('d1')).toMatchObject({ state: 'pending' })

      await store.claim()
      await starts(store)
      expect(await store.find('d1')).toMatchObject({
        state: 'build_failed',
        problem: { deaths: 3 },
      })
    })

    test('a new boot of the machine counts against nothing, but interrupted work is tried one at a time', async () => {
      await using store = open()
      for (const id of ['a', 'b']) await store.create({ id, app: id, options, source })
      await starts(store, 'boot 0')
      await claimAll(store)
      const tried: string[] = []
      for (let boot = 1; boot < 9; boot++) {
        await starts(store, `boot ${boot}`)
        const claims = await claimAll(store)
        expect(claims).toHaveLength(1)
        tried.push(...idsOf(claims))
      }
      expect(await store.find('a')).toMatchObject({ endedAt: null })
      // each has its turns, whichever of them crashes the machine
      expect(tried.filter((id) => id === 'a')).toHaveLength(4)
    })

    test('a crash during a requested stop counts against nothing', async () => {
      await using store = await make()
      for (let life = 0; life < 6; life++) {
        await starts(store)
        expect(await store.claim()).toMatchObject({ suspect: false })
        await store.endLife()
      }
    })

    test('a crash while nothing is running counts against nothing', async () => {
      await using store = await make()
      for (let life = 0; life < 6; life++) await starts(store)
      expect(await store.claim()).toMatchObject({ suspect: false })
    })

    test('a suspect that was at machines keeps its place, even while no build may start; its end names the machines', async () => {
      await using store = open()
      await starts(store)
      for (const id of ['a', 'b']) await store.create({ id, app: id, options, source, image })
      for (const { deployment, epoch } of await claimAll(store))
        await store.amend(
          { id: deployment.id, epoch },
          { rollout: { of: deployment.id }, machines: [machine] },
        )
      expect(await starts(store)).toEqual([])
      const log = await store.eventsAfter('a', 0, 99)
      expect(log.at(-2)).toMatchObject({ type: 'gap' })

      const [first] = [await store.claim(null), await store.claim(null)]
      expect(first).toMatchObject({
        deployment: { id: 'a', state: 'deploying' },
        rollout: { of: 'a' },
        suspect: true,
      })

      for (let deaths = 1; deaths <= 3; deaths++) {
        await starts(store)
        const claim = await store.claim(null)
        if (deaths > 1) continue
        expect(claim).toMatchObject({ deployment: { id: 'b' } }) // the less suspected one
        await store.advance({ id: 'b', epoch: claim!.epoch }, 'deploying', 'verifying')
        await store.advance({ id: 'b', epoch: claim!.epoch }, 'verifying', 'deploy_failed', {
          problem,
        })
        await store.claim(null)
      }
      const { state, problem: end } = (await store.find('a'))!
      expect(state).toBe('deploy_failed')
      expect(end).toMatchObject({
        code: 'gateway-died',
        state: 'deploying',
        deaths: 3,
        machines: [{ id: 'm1' }],
      })
      expect(end!.detail).toContain('m1')
      expect(end!.detail).toContain('fly machine list --app a')
      await store.create({ id: 'next', app: 'a', options, source, image })
      expect(await store.claim()).toMatchObject({ deployment: { id: 'next' } }) // the lane is free
    })

    test('a suspect that is cancelled or superseded is not tried again', async () => {
      await using store = open()
      await starts(store)
      for (const id of ['a', 'b']) await store.create({ id, app: id, options, source })
      await claimAll(store)
      await starts(store)
      await store.requestCancel('a', { by: null, why: null, abort: false })
      await store.create({ id: 'newer', app: 'b', options, source })
      expect(await claimAll(store)).toMatchObject([{ deployment: { id: 'newer' }, suspect: false }])
    })

    test('a rollout with which the gateway dies is suspected like a deployment, and stops after as many deaths', async () => {
      await using store = open()
      const make = (id: string) =>
        store.rollouts.create(
          {
            id,
            source: { image: 'r/shop:1' },
            triggeredBy: null,
            targets: [],
            parallel: 2,
            maxFailures: 1,
            build: null,
          },
          { requestBody: id, idempotencyKey: null },
        )
      await starts(store)
      for (const id of ['bad', 'good']) await make(id)
      expect([await store.rollouts.begin('bad'), await store.rollouts.begin('good')]).toEqual([
        true,
        true,
      ])

      await store.create({ id: 'd1', app: 'shop', options, source })
      const claim = (await store.claim(all))!
      await starts(store) // three were running: it counts against none
      expect(await store.rollouts.begin('bad')).toBe(false) // suspected deployments come first
      expect(await store.claim(all)).toMatchObject({ deployment: { id: 'd1' }, suspect: true })

      await store.advance({ id: 'd1', epoch: claim.epoch + 2 }, 'fetching', 'build_failed', {
        problem,
      })
      await store.create({ id: 'd2', app: 'shop', options, source })
      for (let deaths = 0; deaths < 3; deaths++) {
        expect(await store.rollouts.begin('bad')).toBe(true)
        expect(await store.rollouts.begin('good')).toBe(false)
        expect(await store.claim(all)).toBeNull()
        await starts(store)
      }
      expect((await store.rollouts.find('bad'))!.problem).toMatchObject({
        code: 'gateway-died',
        deaths: 3,
      })

      await store.rollouts.end('bad')
      expect(await store.rollouts.begin('good')).toBe(true)
      expect(await store.claim(all)).toBeNull()
      await store.rollouts.made('good')
      expect(await store.claim(all)).toMatchObject({ deployment: { id: 'd2' }, suspect: false })
      expect((await store.rollouts.find('good'))!.problem).toBeNull()
    })

    test('work that returns to the queue yields to newer deployments', async () => {
      await using store = await make()
      await store.claim()
      await store.create({ id: 'd2', app: 'shop', options, source })
      await store.recover('The gateway was killed')
      expect(await store.find('d1')).toMatchObject({ state: 'superseded', supersededBy: 'd2' })
    })

    test('it also yields to one behind another that would have tolerated it', async () => {
      await using store = await make()
      await store.claim()
      await store.create({ id: 'd2', app: 'shop', options: asks('fifo'), source })
      await store.create({ id: 'd3', app: 'shop', options, source })
      await store.recover('The gateway was killed')
      expect(await store.find('d1')).toMatchObject({ state: 'superseded', supersededBy: 'd3' })
      expect(await store.find('d2')).toMatchObject({ state: 'pending' })
    })

    test('apps take turns, each within its limit, and waiting deployments are notified once', async () => {
      await using store = open()
      const limits = { builds: 3, appBuilds: 2, deploys: 1 }
      for (const owner of ['o1', 'o2', 'o3', 'o4'])
        await store.create({ id: owner, app: 'crowd', options: asks(null, { owner }), source })
      await store.create({ id: 'single', app: 'single', options, source })
      await store.create({ id: 'later', app: 'single', options: asks('fifo'), source })
      const ids = []
      for (let claim; (claim = await store.claim(limits));) ids.push(claim.deployment.id)
      expect(ids).toEqual(['o1', 'single', 'o2'])

      const reported = async (id: string) =>
        (await store.eventsAfter(id, 1, 9)).filter(({ type }) => type === 'waiting')
      for (let times = 0; times < 3; times++) await store.publishQueuePositions(limits)
      expect(await reported('o3')).toMatchObject([{ for: 'app', place: 1, behind: null }])
      expect(await reported('o4')).toMatchObject([{ for: 'app', place: 2 }])
      expect(await reported('later')).toMatchObject([{ for: 'lane', place: 1, behind: 'single' }])
      expect(await reported('single')).toEqual([])
      await store.changeAppSettings('crowd', { builds: 4 })
      expect(await store.claim(limits)).toBeNull()

      await store.publishQueuePositions(limits)
      expect((await reported('o3'))[1]).toMatchObject({ for: 'builds', place: 1 })
      expect((await store.claim({ ...limits, builds: 4 }))!.deployment.id).toBe('o3')
    })

    test('of two apps that wait, the one that was served longest ago goes first', async () => {
      await using store = open()
      for (const id of ['b1', 'b2', 'b3']) {
        await store.create({ id, app: 'blog', options, source })
        await store.requestCancel(id, { by: null, why: null, abort: false })
      }
      for (const owner of ['o1', 'o2'])
        await store.create({ id: owner, app: 'shop', options: asks(null, { owner }), source })
      await store.create({ id: 'b4', app: 'blog', options, source })
      expect(idsOf(await claimAll(store))).toEqual(['o1', 'b4', 'o2'])
    })

    test('listeners are called after each change that may let a deployment start', async () => {
      await using store = open()
      let calls = 0
      const listening = store.onQueueChange(() => calls++)
      const callsOf = async (change: Promise<unknown>) => {
        calls = 0
        await change
        await new Promise((done) => setImmediate(done))
        return calls > 0
      }
      expect(await callsOf(store.create({ id: 'd1', app: 'shop', options, source }))).toBe(true)
      const holder = { id: 'd1', epoch: (await store.claim())!.epoch }
      expect(await callsOf(store.advance(holder, 'fetching', 'analyzing'))).toBe(false)
      expect(await callsOf(store.append(holder, [{ type: 'note', text: 'line' }]))).toBe(false)
      expect(await callsOf(store.advance(holder, 'analyzing', 'pending'))).toBe(true)

      const again = { id: 'd1', epoch: (await store.claim())!.epoch }
      for (const [from, to] of toMachines.slice(0, 2)) await store.advance(again, from, to)
      expect(await callsOf(store.advance(again, 'building', 'deploying'))).toBe(true)
      expect(await callsOf(store.giveUp('d1', problem))).toBe(true)
      expect(await callsOf(store.changeAppSettings('shop', { builds: 2 }))).toBe(true)
      expect(await callsOf(store.releases.forget('shop'))).toBe(true)

      const rollout = {
        id: 'r1',
        source: null,
        build: null,
        triggeredBy: null,
        parallel: 1,
        maxFailures: 1,
      }
      await store.rollouts.create(
        { ...rollout, targets: [] },
        { requestBody: 1, idempotencyKey: null },
      )
      await store.rollouts.begin('r1')
      expect(await callsOf(store.rollouts.made('r1'))).toBe(true)
      expect(await callsOf(store.rollouts.end('r1'))).toBe(true)

      listening[Symbol.dispose]()
      expect(await callsOf(store.create({ id: 'd2', app: 'shop', options, source }))).toBe(false)
    })

    test('a suspect that has left its state may let others start', async () => {
      await using store = open()
      await starts(store)
      await store.create({ id: 'd1', app: 'shop', options, source })
      await store.claim()
      await starts(store)
      const holder = { id: 'd1', epoch: (await store.claim())!.epoch }
      let calls = 0
      using _listening = store.onQueueChange(() => calls++)
      await store.advance(holder, 'fetching', 'analyzing')
      await new Promise((done) => setImmediate(done))
      expect(calls).toBeGreaterThan(0)
    })

    test('in any order of arrivals, lanes, limits and order hold (random, with a seed)', async () => {
      const seed = Date.now() % 1e9
      let random = seed
      const below = (n: number) =>
        Math.floor(((random = (random * 48_271) % 2_147_483_647) / 2_147_483_647) * n)
      const pick = <T>(all: readonly T[]) => all[below(all.length)]!
      const limits = { builds: 2, appBuilds: 1, deploys: 2 }
      const way = [
        'fetching',
        'analyzing',
        'building',
        'pushing',
        'deploying',
        'verifying',
        'live',
      ] as const
      const problem = new Problem('build-failed', 'no').body()
      await using store = open()
      const holders = new Map<string, number>()
      const all = async () =>
        Promise.all(Array.from({ length: made }, async (_, n) => (await store.find(`d${n}`))!))
      let made = 0
      for (let step = 0; step < 600; step++) {
        const what = below(10)
        if (what < 3) {
          const requestBody = asks(pick(lanePolicies), {
            owner: pick([null, 'alice', 'bob', 'eve']),
            deploy: below(5) > 0,
          })
          const fresh = {
            app: pick(['a', 'b', 'c']),
            options: requestBody,
            source,
            image: below(4) ? null : image,
          }
          await store.create({ id: `d${made}`, ...fresh }).then(
            () => made++,
            (error: unknown) => expect(error).toMatchObject({ code: 'lane-busy' }),
          )
        } else if (what < 6) {
          const claim = await store.claim(limits)
          if (claim) holders.set(claim.deployment.id, claim.epoch)
        } else if (below(40) === 0) {
          holders.clear()
          for (const { deployment, epoch } of await store.recover('killed'))
            holders.set(deployment.id, epoch)
        } else if (holders.size > 0) {
          const [id, epoch] = pick([...holders])
          const { state, options } = (await store.find(id))!
          const to =
            state === 'pushing' && !options.deploy
              ? 'built'
              : way[way.indexOf(state as 'live') + 1]!
          const failed = touchesMachines(state) ? 'deploy_failed' : 'build_failed'
          const fails = below(8) === 0 || !(await store.advance({ id, epoch }, state, to))
          if (fails) await store.advance({ id, epoch }, state, failed, { problem })
          if (isFinal((await store.find(id))!.state)) holders.delete(id)
        }
        await store.publishQueuePositions(limits)
        const records = await all()
        const atWork = records.filter(({ state }) => state !== 'pending' && !isFinal(state))
        const building = atWork.filter(({ state }) => !touchesMachines(state))
        const lanes = atWork.map(({ app, owner }) => `${app}/${owner}`)
        expect([lanes.length, seed]).toEqual([new Set(lanes).size, seed])
        expect([building.length <= limits.builds, seed]).toEqual([true, seed])
        for (const app of ['a', 'b', 'c'])
          expect([
            building.filter((one) => one.app === app).length <= limits.appBuilds,
            seed,
          ]).toEqual([true, seed])
      }
      // Every deployment that was neither cancelled nor superseded has run, in order.
      const records = await all()
      for (const { id, state, supersededBy, app, owner, number } of records) {
        const newer = records.find((one) => one.id === supersededBy)
        if (state === 'superseded') expect([id, newer]).toMatchObject([id, { app, owner }])
        if (newer) expect(newer.number).toBeGreaterThan(number)
      }
    })

    test('an app’s settings are defaults for the options of its deployments, and a retry keeps the earlier options', async () => {
      await using store = open()
      await store.changeAppSettings('shop', {
        lane: 'fifo',
        region: 'fra',
        env: { A: '1', B: '2' },
      })
      await store.changeAppSettings('shop', { env: { A: null, C: '3' }, region: null })
      expect(await store.appSettings('shop')).toEqual({ lane: 'fifo', env: { B: '2', C: '3' } })
      expect(await store.appSettings('blog')).toEqual({})

      const own = { ...options, env: { C: 'mine' } }
      const ask = (id: string) =>
        store.create({ id, app: 'shop', options: own, source, idempotencyKey: 'k' })
      const made = await ask('d1')
      expect(made.options).toMatchObject({ lane: 'fifo', region: null, env: { B: '2', C: 'mine' } })
      await store.changeAppSettings('shop', { lane: 'reject', env: { D: '4' } })
      expect(await ask('d2')).toMatchObject({ id: 'd1' })

      const again = await store.create({
        id: 'd3',
        app: 'shop',
        options: made.options,
        source,
        resolved: true,
      })
      expect(again.options).toEqual(made.options)
      await expect(store.changeAppSettings('shop', { lane: 'sometimes' })).rejects.toMatchObject({
        code: 'option-invalid',
      })
      await expect(store.changeAppSettings('shop', { lanes: null })).rejects.toMatchObject({
        code: 'option-unknown',
      })
    })

    test('a move is stored together with its event, or not at all', async () => {
      await using store = await make()
      const { epoch } = (await store.claim())!
      const holder = { id: 'd1', epoch }
      expect(await store.advance(holder, 'building', 'pushing')).toBe(false)
      expect(await store.advance({ id: 'd1', epoch: epoch - 1 }, 'fetching', 'analyzing')).toBe(
        false,
      )
      await expect(store.advance(holder, 'fetching', 'live')).rejects.toThrow(
        'cannot go from fetching to live',
      )
      expect(await store.eventsAfter('d1', 0, 10)).toHaveLength(2)
      expect(await store.advance(holder, 'fetching', 'analyzing')).toBe(true)
      expect((await store.eventsAfter('d1', 2, 10))[0]).toMatchObject({
        seq: 3,
        from: 'fetching',
        state: 'analyzing',
      })
    })

    test('a log is numbered without gaps, and a former holder cannot write to it', async () => {
      await using store = await make()
      const { epoch } = (await store.claim())!
      const lines = Array.from({ length: 30 }, (_, n) => ({
        type: 'note' as const,
        text: `line ${n}`,
      }))
      await store.append({ id: 'd1', epoch }, lines.slice(0, 20))
      await store.append({ id: 'd1', epoch }, lines.slice(20))
      expect((await store.eventsAfter('d1', 0, 100)).map((event) => event.seq)).toEqual(
        Array.from({ length: 32 }, (_, n) => n + 1),
      )
      expect(await store.recover('The gateway was killed')).toEqual([])
      expect(await store.append({ id: 'd1', epoch }, lines)).toBe(false)
      expect(await store.amend({ id: 'd1', epoch }, { url: 'x' })).toBe(false)
    })

    test('after a crash, work that touched no machine is pending again with the reason; the rest is returned', async () => {
      await using store = await make()
      const { epoch } = (await store.claim())!
      const holder = { id: 'd1', epoch }
      await store.recover('The gateway was killed')
      expect(await store.find('d1')).toMatchObject({ state: 'pending' })
      expect(await store.eventsAfter('d1', 2, 9)).toMatchObject([
        { type: 'gap' }, // buffered events may be lost
        { state: 'pending', reason: 'The gateway was killed' },
      ])
      const again = (await store.claim())!
      expect(again.deployment.attempt).toBe(2)

      const next = { id: 'd1', epoch: again.epoch }
      for (const [from, to] of toMachines) expect(await store.advance(next, from, to)).toBe(true)
      await store.amend(next, { rollout: { machines: ['m1'] } })
      const [left] = await store.recover('The gateway was killed')
      expect(left).toMatchObject({
        deployment: { state: 'deploying' },
        rollout: { machines: ['m1'] },
      })
      expect(left!.epoch).toBeGreaterThan(again.epoch)
      expect(holder.epoch).toBeLessThan(again.epoch)
    })

    test('lists an app’s deployments newest first, page by page', async () => {
      await using store = open()
      for (let n = 1; n <= 5; n++) await store.create({ id: `d${n}`, app: 'shop', options, source })
      const first = await store.list('shop', { limit: 2, before: null })
      expect(first.deployments.map(({ id }) => id)).toEqual(['d5', 'd4'])
      const second = await store.list('shop', { limit: 3, before: first.next })
      expect(second.deployments.map(({ id }) => id)).toEqual(['d3', 'd2', 'd1'])
      expect(second.next).toBeNull()
    })

    test('finds the newest image that an app built from the same input, while its bases are current', async () => {
      await using store = open()
      const build = async (id: string, app: string, key: string, validUntil: string | null) => {
        await store.create({ id, app, options, source })
        const { epoch } = (await store.claim())!
        await store.advance({ id, epoch }, 'fetching', 'analyzing')
        await store.advance({ id, epoch }, 'analyzing', 'building')
        await store.advance({ id, epoch }, 'building', 'built', {
          image,
          build: { key, validUntil },
        })
      }
      await build('d1', 'shop', 'k', null)
      await build('d2', 'shop', 'k', '2999-01-01T00:00:00.000Z')
      await build('d3', 'shop', 'k', '2001-01-01T00:00:00.000Z')
      await build('d4', 'blog', 'k', null)
      expect(await store.imageOf('shop', 'k')).toMatchObject({ id: 'd2', image, bases: {} })
      expect(await store.imageOf('shop', 'other')).toBeNull()
      expect(await store.imageOf('docs', 'k')).toBeNull()
    })

    test('a reader that comes late or reconnects sees every event once, in order, to the end', async () => {
      await using store = await make()
      const { epoch } = (await store.claim())!
      const seen: number[] = []
      const reader = (async () => {
        for await (const event of follow(store, 'd1', 1, never)) seen.push(event.seq)
      })()
      for (let n = 0; n < 5; n++) {
        await store.append({ id: 'd1', epoch }, [{ type: 'note', text: String(n) }])
        await new Promise((done) => setTimeout(done, 2))
      }
      const problem = new Problem('build-failed', 'no').body()
      await store.advance({ id: 'd1', epoch }, 'fetching', 'build_failed', { problem })
      await reader
      expect(seen).toEqual([2, 3, 4, 5, 6, 7, 8])
    })

    test('a reader that read the last event before it saw the end does not wait forever', async () => {
      await using store = await make()
      const { epoch } = (await store.claim())!
      const problem = new Problem('build-failed', 'no').body()
      const late: Pick<DeploymentStore, 'find' | 'eventsAfter' | 'changed'> = {
        find: async (id) => {
          const found = await store.find(id)
          await store.advance({ id, epoch }, 'fetching', 'build_failed', { problem })
          return found
        },
        eventsAfter: (...requestBody) => store.eventsAfter(...requestBody),
        changed: (...requestBody) => store.changed(...requestBody),
      }
      const seen: number[] = []
      for await (const { seq } of follow(late, 'd1', 0, AbortSignal.timeout(2000))) seen.push(seq)
      expect(seen).toEqual([1, 2, 3])
      await store.changed('d1', 3, never)
    })

    test('a reader that stops listening ends, and an unknown deployment is a problem', async () => {
      await using store = await make()
      const stop = new AbortController()
      setTimeout(() => stop.abort(), 10)
      for await (const event of follow(store, 'd1', 0, stop.signal)) expect(event.seq).toBe(1)
      await expect(follow(store, 'nobody', 0, never).next()).rejects.toMatchObject({
        code: 'deployment-not-found',
      })
    })

    test('stores secrets by owner and name, in order, with the last value of each', async () => {
      await using store = open()
      const secret = (name: string, byte: number) => ({
        name,
        keyId: 'k1',
        sealed: new Uint8Array([byte]),
      })
      const first = await store.putSecret('app:shop', secret('B', 1))
      expect(first).toEqual({ name: 'B', createdAt: first.updatedAt, updatedAt: first.updatedAt })

      await store.putSecret('app:shop', secret('A', 2))
      await store.putSecret('app:blog', secret('A', 3))
      expect(await store.putSecret('app:shop', secret('B', 4))).toMatchObject({
        createdAt: first.createdAt,
      })
      expect(await store.secretsOf('app:shop')).toMatchObject([secret('A', 2), secret('B', 4)])
      expect(await store.removeSecret('app:shop', 'A')).toBe(true)
      expect(await store.removeSecret('app:shop', 'A')).toBe(false)
      expect(await store.secretsOf('app:shop')).toMatchObject([{ name: 'B' }])
      expect(await store.secretsOf('app:blog')).toMatchObject([{ name: 'A' }])
    })

    test('changes several secrets at once, or none of them', async () => {
      await using store = open()
      const secret = (name: string) => ({ name, keyId: 'k1', sealed: new Uint8Array([1]) })
      await store.changeSecrets('app:shop', [secret('A'), secret('B')], [])
      expect(await store.changeSecrets('app:shop', [secret('C')], ['A', 'D'])).toEqual(['A'])
      expect(await store.secretsOf('app:shop')).toMatchObject([{ name: 'B' }, { name: 'C' }])

      const tooLarge = { name: 'E', keyId: 'k1', sealed: new Uint8Array(200_000) }
      await expect(
        store.changeSecrets('app:shop', [secret('D'), tooLarge], ['B']),
      ).rejects.toMatchObject({ code: 'record-too-large' })
      expect(await store.secretsOf('app:shop')).toMatchObject([{ name: 'B' }, { name: 'C' }])
    })

    test('what is known of secrets on Fly only grows, until the app is another one or is deleted', async () => {
      await using store = open()
      const { runtimeSecrets } = store
      expect(await runtimeSecrets.find('shop')).toBeNull()
      await runtimeSecrets.note('shop', { flyId: 'f1', version: 3, own: { A: 'a', B: '' } })
      await runtimeSecrets.note('shop', { flyId: null, version: 2, own: { B: null } })
      const known = { flyId: 'f1', version: 3, own: { A: 'a', B: null } }
      expect(await runtimeSecrets.find('shop')).toEqual(known)

      await runtimeSecrets.note('blog', known)
      await runtimeSecrets.reset('blog', { flyId: 'f2', version: 0, own: {} })
      expect(await runtimeSecrets.find('blog')).toEqual({ flyId: 'f2', version: 0, own: {} })
      await store.releases.forget('shop')
      expect(await runtimeSecrets.find('shop')).toBeNull()
    })

    test('a deployment’s own secrets exist until it ends, however it ends', async () => {
      await using store = open()
      const secrets = [{ name: 'A', keyId: 'k1', sealed: new Uint8Array([1]) }]
      await store.create({ id: 'd1', app: 'shop', options, source, secrets })
      await store.create({ id: 'd2', app: 'shop', options, source, secrets })
      expect(await store.secretsOf('deployment:d1')).toEqual([]) // superseded

      const { epoch } = (await store.claim())!
      await store.recover('The gateway was killed')
      expect(await store.secretsOf('deployment:d2')).toMatchObject(secrets)
      const again = (await store.claim())!
      expect(again.epoch).toBeGreaterThan(epoch)

      const problem = new Problem('build-failed', 'no').body()
      await store.advance({ id: 'd2', epoch: again.epoch }, 'fetching', 'build_failed', { problem })
      expect(await store.secretsOf('deployment:d2')).toEqual([])
    })

    test('a cancelled pending deployment ends at once; a second cancel changes nothing', async () => {
      await using store = await make()
      const request = { by: 'ada', why: 'wrong branch', abort: false }
      expect(await store.requestCancel('d1', request)).toMatchObject({
        state: 'cancelled',
        cancel: request,
        problem: { code: 'cancelled' },
      })
      expect(await store.requestCancel('d1', { ...request, by: 'eve' })).toMatchObject({
        cancel: { by: 'ada' },
      })
      await expect(store.requestCancel('nobody', request)).rejects.toMatchObject({
        code: 'deployment-not-found',
      })
    })

    test('running work with a cancel request goes no further, and also ends as cancelled after a crash', async () => {
      await using store = await make()
      const { epoch } = (await store.claim())!
      expect(await store.requestCancel('d1', { by: null, why: null, abort: false })).toMatchObject({
        state: 'fetching',
      })
      expect((await store.eventsAfter('d1', 2, 9))[0]).toMatchObject({
        type: 'note',
        text: 'Cancelled on request.',
      })
      expect(await store.advance({ id: 'd1', epoch }, 'fetching', 'analyzing')).toBe(false)

      await store.recover('The gateway was killed')
      expect(await store.find('d1')).toMatchObject({
        state: 'cancelled',
        problem: { code: 'cancelled' },
      })
    })

    test('once machines are touched, a cancel is too late unless it asks for an abort', async () => {
      await using store = await make()
      const holder = { id: 'd1', epoch: (await store.claim())!.epoch }
      for (const [from, to] of toMachines) await store.advance(holder, from, to)
      await store.amend(holder, { rollout: 'about to' })
      const request = { by: null, why: null, abort: false }
      await expect(store.requestCancel('d1', request)).rejects.toMatchObject({
        code: 'cancel-too-late',
        status: 409,
      })
      expect(await store.requestCancel('d1', { ...request, abort: true })).toMatchObject({
        state: 'deploying',
        cancel: { abort: true },
      })
      expect(await store.advance(holder, 'deploying', 'cancelled')).toBe(true)
    })

    test('an idempotency key returns the same deployment for a day, and is refused for another request', async () => {
      let now = Date.parse('2026-01-01')
      await using store = open(() => now)
      const ask = (id: string, more = {}) =>
        store.create({ id, app: 'shop', options, source, idempotencyKey: 'k1', ...more })
      await ask('d1')
      expect(await ask('d2')).toMatchObject({ id: 'd1', state: 'pending' })
      expect(await store.find('d2')).toBeNull()

      for (const other of [
        { options: { ...options, rebuild: true } },
        { secretsFingerprint: 'other' },
      ])
        await expect(ask('d3', other)).rejects.toMatchObject({ code: 'idempotency-mismatch' })
      expect(await ask('d4', { app: 'blog' })).toMatchObject({ id: 'd4' })
      now += 25 * 3_600_000
      expect(await ask('d5')).toMatchObject({ id: 'd5' })
    })

    test('a release is made together with the move to live, numbered by app and owner, and deleted with its app', async () => {
      await using store = open()
      const image = { reference: 'r/shop@sha256:bb', digest: 'sha256:bb', tags: [] }
      const goLive = async (id: string, owner: string | null, app = 'shop') => {
        const requestBody = { ...options, owner }
        await store.create({ id, app, options: requestBody, source, image })
        const holder = { id, epoch: (await store.claim())!.epoch }
        await store.advance(holder, 'deploying', 'verifying')
        const release = { desired: { groups: [id] }, secrets: null }
        const late = { ...holder, epoch: holder.epoch - 1 }
        expect(await store.advance(late, 'verifying', 'live', { release })).toBe(false)
        expect(await store.advance(holder, 'verifying', 'live', { release })).toBe(true)
        return (await store.find(id))!.release
      }
      expect([
        await goLive('d1', null),
        await goLive('d2', 'ada'),
        await goLive('d3', null),
      ]).toEqual([1, 1, 2])
      expect(await goLive('d4', null, 'blog')).toBe(1)

      const { releases } = store
      expect(await releases.find('shop', null)).toMatchObject({
        number: 2,
        deployment: 'd3',
        image,
        secrets: null,
      })
      expect(await releases.find('shop', 'ada', 1)).toMatchObject({
        owner: 'ada',
        desired: { groups: ['d2'] },
      })
      expect(await releases.find('shop', 'bob')).toBeNull()
      expect((await releases.newest('shop')).map(({ owner, number }) => [owner, number])).toEqual([
        [null, 2],
        ['ada', 1],
      ])

      const isOwnApp = (app: string, flyId: string | null) => releases.isOwnApp(app, flyId)
      await releases.recordCreatedApp('shop', null)
      expect([await isOwnApp('shop', 'id1'), await isOwnApp('blog', null)]).toEqual([true, false])
      await releases.recordCreatedApp('shop', 'id2')
      expect([
        await isOwnApp('shop', 'id1'),
        await isOwnApp('shop', 'id2'),
        await isOwnApp('shop', null),
      ]).toEqual([false, true, true])

      // during the deletion of its app
      await store.create({ id: 'late', app: 'shop', options, source })
      await releases.forget('shop')
      expect((await store.claim())?.deployment).toMatchObject({ id: 'late' })
      expect([await isOwnApp('shop', null), await releases.find('shop', null)]).toEqual([
        false,
        null,
      ])
      expect(await releases.find('blog', null)).toMatchObject({ number: 1 })
    })

    test('crashes are noted in the newest release and its deployment, with events in its log', async () => {
      await using store = open()
      const { releases } = store
      const goLive = async (id: string) => {
        await store.create({ id, app: 'shop', options, source, image })
        const holder = { id, epoch: (await store.claim())!.epoch }
        await store.advance(holder, 'deploying', 'verifying')
        const release = { desired: { groups: [] }, secrets: null }
        await store.advance(holder, 'verifying', 'live', { release })
      }
      const image = { reference: 'r/shop@sha256:bb', digest: 'sha256:bb', tags: [] }
      await goLive('d1')
      const [first] = await releases.newestFacts('shop')
      expect(first).toMatchObject({ number: 1, deployment: 'd1', owner: null, crashes: [] })
      expect(await releases.apps()).toEqual(['shop'])

      const at = '2026-01-01T00:00:00.000Z'
      const crash = { machine: 'm1', at, lastAt: at, why: 'ended', endedAt: null, ending: null }
      const event = {
        type: 'release',
        release: 1,
        state: 'degraded',
        machine: 'm1',
        text: 'x',
      } as const
      const { endedAt } = (await store.find('d1'))!
      expect(await releases.noteCrashes(first!, [crash], [event])).toBe(true)
      expect(await store.find('d1')).toMatchObject({
        state: 'live',
        endedAt,
        releaseState: 'degraded',
        crashes: [crash],
      })
      expect(await releases.find('shop', null)).toMatchObject({ crashes: [crash] })
      expect((await store.eventsAfter('d1', 0, 99)).at(-1)).toMatchObject(event)

      // It was read before the crash was noted.
      expect(await releases.noteCrashes(first!, [], [event])).toBe(false)
      const [noted] = await releases.newestFacts('shop')
      await goLive('d2')
      expect(await releases.noteCrashes(noted!, [], [event])).toBe(false)
      expect(await store.find('d2')).toMatchObject({ releaseState: 'healthy', crashes: [] })
      expect((await releases.newestFacts('shop')).map(({ number }) => number)).toEqual([2])
      expect(await releases.find('shop', null, 1)).toMatchObject({ crashes: [crash] })

      const [second] = await releases.newestFacts('shop')
      await store.dropLogs({ perApp: 0, days: 1 }, AbortSignal.timeout(10_000))
      expect(await releases.noteCrashes(second!, [crash], [event])).toBe(true)
      expect(await store.eventsAfter('d2', 0, 99)).toEqual([])
      await releases.forget('shop')
      expect([await releases.apps(), await releases.newestFacts('shop')]).toEqual([[], []])
    })

    test('a rollout exists until it ends, once per key', async () => {
      let now = Date.parse('2026-01-01')
      await using store = open(() => now)
      const targets = [{ app: 'shop', options, deployment: 'd1' }]
      const make = (id: string, requestBody: unknown = 'a') => {
        const request = {
          id,
          source: { image: 'r/shop:1' },
          triggeredBy: null,
          targets,
          parallel: 1,
          maxFailures: 1,
          build: null,
        }
        return store.rollouts.create(request, { requestBody, idempotencyKey: 'k' })
      }
      expect(await make('r1')).toMatchObject({ id: 'r1', endedAt: null, targets, refused: {} })
      expect(await make('r2')).toMatchObject({ id: 'r1' })
      await expect(make('r3', 'b')).rejects.toMatchObject({ code: 'idempotency-mismatch' })

      const problem = new Problem('image-gone', 'no').body()
      await store.rollouts.refuse('r1', 'd1', problem)
      expect(await store.rollouts.unfinished()).toMatchObject([
        { id: 'r1', refused: { d1: problem } },
      ])

      await store.rollouts.stop('r1', problem)
      await store.rollouts.stop('r1', new Problem('cancelled', 'too late').body())
      await store.rollouts.end('r1')
      expect([await store.rollouts.unfinished(), await store.rollouts.find('none')]).toEqual([
        [],
        null,
      ])
      expect(await store.rollouts.find('r1')).toMatchObject({
        problem,
        endedAt: expect.any(String),
      })
      now += 25 * 3_600_000
      expect(await make('r4', 'b')).toMatchObject({ id: 'r4' })

      const newest = await store.rollouts.list({ limit: 1, before: null })
      expect(newest).toMatchObject({ rollouts: [{ id: 'r4' }], next: 'r4' })
      expect(await store.rollouts.list({ limit: 1, before: 'r4' })).toMatchObject({
        rollouts: [{ id: 'r1' }],
        next: null,
      })
    })

    test('a deployment with a given image begins with the machines', async () => {
      await using store = open()
      await store.create({ id: 'd1', app: 'shop', options, source, image })
      expect((await store.claim())?.deployment).toMatchObject({ state: 'deploying', image })
    })

    test('knows the retained sources: limited by count, size and age, and those of unfinished deployments', async () => {
      let now = Date.parse('2026-01-01')
      await using store = open(() => now)
      const recordLive = async (id: string, digest: string, end = true) => {
        await store.create({
          id,
          app: 'shop',
          options,
          source: { digest, files: 1, sizeBytes: 2 ** 20 },
        })
        if (end) await store.requestCancel(id, { by: null, why: null, abort: false })
        now += 3_600_000
      }
      for (const [n, digest] of ['a', 'b', 'c', 'b', 'c'].entries())
        await recordLive(`d${n}`, digest)
      const keep = { keepSources: 9, keepSourcesMib: 9, keepSourcesDays: 9 }
      const kept = async (own = {}) =>
        [...(await store.sourcesInUse({ ...keep, ...own }))].toSorted().join('')
      expect(await kept()).toBe('abc')
      expect(await kept({ keepSources: 2 })).toBe('bc')
      expect(await kept({ keepSourcesMib: 1 })).toBe('c')
      await store.changeAppSettings('shop', { keepSources: 1 })
      expect(await kept()).toBe('c')
      await recordLive('d5', 'a', false)
      expect(await kept({ keepSourcesMib: 0 })).toBe('a')
      now += 10 * 86_400_000
      expect(await kept()).toBe('a')
    })

    test('logs retained by number are those of the newest deployments, even with gaps in their numbers', async () => {
      await using store = open(Date.now)
      for (const [id, over] of [['d1'], ['d2'], ['d3', '999999999'], ['d4']] as const) {
        await store.create({
          id,
          app: 'shop',
          options: { ...options, 'force-over': over ?? null },
          source,
        })
        await store.requestCancel(id, { by: null, why: null, abort: false })
      }
      expect(await store.dropLogs({ perApp: 3, days: 9 }, never)).toBe(1)
      expect(await store.find('d1')).toMatchObject({ logDroppedAt: expect.any(String) })
      expect(await store.find('d2')).toMatchObject({ number: 2, logDroppedAt: null })
    })

    test('old logs are dropped by age and by number per app; unfinished ones and all records stay', async () => {
      let now = Date.parse('2026-01-01')
      await using store = open(() => now)
      const request = { by: null, why: null, abort: false }
      const ended = async (id: string, app: string) => {
        await store.create({ id, app, options, source })
        await store.requestCancel(id, request)
      }
      for (const id of ['d1', 'd2', 'd3']) await ended(id, 'shop')
      await ended('blog', 'blog')
      now += 10 * 86_400_000
      await ended('d4', 'shop')
      await store.create({ id: 'd5', app: 'shop', options, source })
      const kept = async () => {
        const ids = ['d1', 'd2', 'd3', 'd4', 'd5', 'blog']
        const pages = await Promise.all(ids.map((id) => store.eventsAfter(id, 0, 9)))
        return ids.filter((_, index) => pages[index]!.length > 0)
      }

      expect(await store.dropLogs({ perApp: 4, days: 11 }, never)).toBe(1)
      expect(await kept()).toEqual(['d2', 'd3', 'd4', 'd5', 'blog'])
      expect(await store.dropLogs({ perApp: 9, days: 9 }, never)).toBe(3)
      expect(await kept()).toEqual(['d4', 'd5'])
      expect(await store.dropLogs({ perApp: 1, days: 9 }, never)).toBe(1)
      expect(await store.dropLogs({ perApp: 1, days: 9 }, never)).toBe(0)
      expect(await kept()).toEqual(['d5'])
      expect(await store.find('d1')).toMatchObject({
        state: 'cancelled',
        logDroppedAt: new Date(now).toISOString(),
      })
      expect(await store.find('d5')).toMatchObject({ logDroppedAt: null })
      await expect(follow(store, 'd1', 0, never).next()).rejects.toMatchObject({
        code: 'log-dropped',
        status: 410,
      })
    })
  })
}

/** The contract of a store that several gateways share. `open` gives each its own. */
export function sharedStoreContract(
  open: (now: () => number) => [DeploymentStore, DeploymentStore],
): void {
  test('another gateway’s work is left alone while its lease is renewed; then it resumes under a new epoch', async () => {
    let now = Date.parse('2026-01-01')
    const [one, other] = open(() => now)
    await using _one = one
    await using _other = other
    for (const id of ['build', 'deploy']) await one.create({ id, app: id, options, source })
    const build = { id: 'build', epoch: (await one.claim())!.epoch }
    const deploy = { id: 'deploy', epoch: (await one.claim())!.epoch }
    for (const [from, to] of toMachines) await one.advance(deploy, from, to)

    expect(await other.claim()).toBeNull()
    now += leaseMs - 1
    expect(await other.recover('Its gateway is gone')).toEqual([])
    for (const holder of [build, deploy]) expect(await one.renew(holder)).toBe(true)
    now += leaseMs - 1
    expect(await other.recover('Its gateway is gone')).toEqual([])
    expect(await one.append(build, [{ type: 'note', text: 'still at work' }])).toBe(true)

    now += 2
    const [taken] = await other.recover('Its gateway is gone')
    expect(taken).toMatchObject({
      deployment: { id: 'deploy', state: 'deploying' },
      epoch: deploy.epoch + 1,
    })
    expect(await other.find('build')).toMatchObject({ state: 'pending' })
    const again = (await other.claim())!
    expect(again).toMatchObject({ deployment: { id: 'build', attempt: 2 } })

    const before = await one.eventsAfter('build', 0, 99)
    for (const holder of [build, deploy]) {
      expect(await one.renew(holder)).toBe(false)
      expect(await one.append(holder, [{ type: 'note', text: 'too late' }])).toBe(false)
      expect(await one.amend(holder, { url: 'http://late' })).toBe(false)
    }
    expect(await one.advance(build, 'fetching', 'analyzing')).toBe(false)
    expect(await one.advance(deploy, 'deploying', 'verifying')).toBe(false)
    expect(await one.eventsAfter('build', 0, 99)).toEqual(before)
    expect(await other.renew({ id: 'build', epoch: again.epoch })).toBe(true)
    expect(await other.recover('Its gateway is gone')).toEqual([])
  })
}
