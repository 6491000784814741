import { setTimeout as delay } from 'node:timers/promises'
import { beforeAll, describe, expect, test as each, vi } from 'vitest'
import type { MachineFacts } from '../../../api/machines/deployed-machine.ts'
import type { NewEvent } from '../../../api/event.ts'
import { Problem } from '../../../api/problem.ts'
import { forEachLimit } from '#api/flow/for-each-limit.ts'
import type { DeployProgress } from '../../../gateway/src/deploy/progress.ts'
import { strategies, type Strategy } from '../../../api/options/strategy.ts'
import { FakeFly, type App, type Nature } from '../../fakes/machines-api.ts'
import { deployed, digest, type Asked } from './deployed.ts'

// These tests mostly wait.
vi.setConfig({ maxConcurrency: 12, testTimeout: 120_000 })
const test = each.concurrent
const http = '[http_service]\ninternal_port = 8080\n[[http_service.checks]]\npath = "/"\n'
const withRelease = `${http}[deploy]\nrelease_command = "migrate --all"\n`

/** An app with two machines that serve the first release. Every case begins with it. */
let before: App
beforeAll(async () => {
  await using fly = await FakeFly.start()
  await deployed(fly, { number: 1, flyToml: http, options: { ha: true }, watchMs: 0 })
  before = structuredClone(fly.apps.get('web')!)
  expect(before.machines.size).toBe(2)
})

async function startWorld(nature: Nature = 'good'): Promise<FakeFly> {
  const fly = await FakeFly.start()
  fly.apps.set('web', structuredClone(before))
  fly.natures.set(digest(2), nature)
  fly.leaseSpeed = 10
  return fly
}

const second = (strategy: Strategy, more: Asked = {}): Asked => ({
  number: 2,
  flyToml: withRelease,
  options: { strategy },
  watchMs: 100,
  ...more,
})

/** Returns the outcome, `live` or a problem's code, and compares it with the record. */
async function ending(
  fly: FakeFly,
  asked: Asked,
): Promise<{ end: string; problem: Problem | null }> {
  try {
    await deployed(fly, asked)
    return { end: 'live', problem: null }
  } catch (error) {
    if (!(error instanceof Problem)) return { end: String(error), problem: null }
    return { end: error.code, problem: error }
  }
}

/** Checks machine by machine: exactly the expected machines exist, and nobody holds a lease. */
async function expectEnd(fly: FakeFly, end: string, strategy: Strategy): Promise<void> {
  const machines = fly.machines('web')
  // The lease of a release that a crash cut off expires.
  const runOut = machines.map(({ lease }) => (lease?.endsAt ?? 0) - Date.now())
  expect(Math.max(...runOut)).toBeLessThan(1500)
  await delay(Math.max(...runOut, 0) + 10)
  expect(machines.filter(({ lease }) => (lease?.endsAt ?? 0) > Date.now())).toEqual([])

  const seen = machines.map(
    ({ id, state, cordoned = false, image_ref, config: { metadata, ...config } }) => ({
      id,
      state,
      cordoned,
      digest: image_ref?.digest,
      config: { ...config, image: null },
      metadata: { ...metadata, tarmac_number: null },
    }),
  )
  const earlier = [...before.machines.values()].map(({ id, config: { metadata, ...config } }) => ({
    id,
    state: 'started',
    cordoned: false,
    digest: digest(end === 'live' ? 2 : 1),
    config: { ...config, image: null },
    metadata: {
      ...metadata,
      tarmac_number: null,
      ...(end === 'live' && { tarmac_deployment: 'd2' }),
    },
  }))
  const isNew = strategy === 'bluegreen' && end === 'live'
  if (isNew) expect(seen.some(({ id }) => before.machines.has(id))).toBe(false)
  expect(seen).toEqual(isNew ? earlier.map((one, at) => ({ ...one, id: seen[at]?.id })) : earlier)
}

const natures: Nature[] = [
  'good',
  'cannot-start',
  'crashes',
  'crashes-once',
  'crashes-later',
  'check-fails',
  'reverts',
]
/** Bluegreen updates nothing, so Fly has nothing to revert silently. */
const isGood = (nature: Nature, strategy: Strategy) =>
  nature === 'good' || (nature === 'reverts' && strategy === 'bluegreen')
const says: Partial<Record<Nature, RegExp>> = {
  'cannot-start': /could not be started by Fly/,
  crashes: /crashed: its process ended by itself with exit code 7/,
  'crashes-once': /crashed: its process ended by itself with exit code 7/,
  'crashes-later': /crashed: its process ended by itself with exit code 7/,
  'check-fails': /check servicecheck-00 is critical/,
  reverts: /went back without an error/,
}

describe.concurrent.each(strategies)('%s', (strategy) => {
  for (const nature of natures) {
    test(`a release that is ${nature} ends correctly, machine by machine`, async () => {
      await using fly = await startWorld(nature)
      const good = isGood(nature, strategy)
      const { end, problem } = await ending(
        fly,
        second(strategy, { watchMs: 600, flyToml: good ? withRelease : http }),
      )
      expect(end).toBe(good ? 'live' : 'deploy-failed')

      if (!good) expect(problem?.message).toMatch(says[nature]!)
      for (const { before, tried, after, outcome } of (problem?.facts['machines'] ??
        []) as MachineFacts[]) {
        expect(tried === null || tried.image.endsWith(digest(2))).toBe(true)
        expect([after?.image ?? null, outcome]).toEqual(
          before ? [before.image, 'rolled_back'] : [null, 'removed'],
        )
      }
      await expectEnd(fly, end, strategy)
    })
  }

  test('a restoring update that Fly silently reverts is retried once', async () => {
    await using fly = await startWorld('check-fails')
    const get = fly.natures.get.bind(fly.natures)
    let reverts = 1
    fly.natures.get = (image) => (image === digest(1) && reverts-- > 0 ? 'reverts' : get(image))
    const { end } = await ending(fly, second(strategy, { flyToml: http, waitMs: 6000 }))
    expect(end).toBe('deploy-failed')
    await expectEnd(fly, end, strategy)
  })

  test('a failed release command ends the deploy before it touches a machine', async () => {
    await using fly = await startWorld()
    fly.exitCode = 3
    const { end, problem } = await ending(fly, second(strategy))
    expect([end, problem?.facts]).toMatchObject(['deploy-failed', { exitCode: 3, machines: [] }])
    expect(problem?.message).toMatch(
      /release_command \(migrate --all\) ended by itself with exit code 3/,
    )
    expect(fly.machines('web').map(({ made }) => made)).toEqual([1, 1])
    await expectEnd(fly, end, strategy)
  })

  test('a deploy that is cancelled midway restores what it touched', async () => {
    for (const at of strategy === 'bluegreen' || strategy === 'canary'
      ? ['checking', 'stopped']
      : ['checking']) {
      await using fly = await startWorld()
      const stop = new AbortController()
      const emit = (event: NewEvent) => {
        if (event.type === 'machine' && event.status === at)
          stop.abort(new Problem('cancelled', 'not wanted any more'))
      }
      const { end } = await ending(fly, second(strategy, { signal: stop.signal, emit }))
      expect(end).toBe('cancelled')
      await expectEnd(fly, end, strategy)
    }
  })

  test('when every third call to Fly fails, the deploy ends with a true verdict: live or rolled back', async () => {
    const cases = [...natures, 'good', 'good'] as const
    await forEachLimit([...cases.entries()], cases.length, async ([at, nature]) => {
      await using fly = await startWorld(nature)
      fly.chaos = { rate: 0.3, random: seeded(at) }
      const waitMs = nature === 'good' ? 20_000 : 5000
      const { end } = await ending(fly, second(strategy, { watchMs: 600, waitMs }))
      const ends = [
        'deploy-failed',
        'fly-unavailable',
        ...(isGood(nature, strategy) ? ['live'] : []),
      ]
      expect(ends.map((each) => `${nature}: ${each}`)).toContain(`${nature}: ${end}`)
      fly.chaos = null
      await expectEnd(fly, end, strategy)
    })
  })

  for (const nature of natures) {
    test(`a gateway killed anywhere in a release that is ${nature} ends it correctly`, async () => {
      const ways = ['note', 'written', 'before', 'after'] as const
      let kills = 0
      await forEachLimit([...ways], ways.length, async (way) => {
        const times = Array.from({ length: 60 }, (_, at) => at + 1)
        let last = Infinity
        await forEachLimit(times, 8, async (at) => {
          if (at > last) return
          if (await killedAndBack(strategy, nature, way, at)) kills++
          else last = Math.min(last, at)
        })
        expect(last).toBeLessThan(60)
      })
      expect(kills).toBeGreaterThan(12)
    })
  }
})

/**
 * Kills the process before or after its n-th note, or before or after the effect of its n-th
 * changing call. Another process resumes from the store. Returns false when the deploy ended before
 * that.
 */
async function killedAndBack(
  strategy: Strategy,
  nature: Nature,
  way: 'note' | 'written' | 'before' | 'after',
  at: number,
): Promise<boolean> {
  await using fly = await startWorld(nature)
  if (way === 'before' || way === 'after') fly.killing = { token: 'secret-1', at, when: way }
  const stage = { verifying: false }
  let stored: DeployProgress | null = null
  let notes = 0
  const kept = async (rollout: DeployProgress) => {
    const isLast = ++notes === at && (way === 'note' || way === 'written')
    if (fly.dead.has('secret-1') || (isLast && way === 'note')) {
      fly.dead.add('secret-1')
      throw new Error('killed')
    }
    stored = rollout
    if (!isLast) return
    fly.dead.add('secret-1')
    throw new Error('killed')
  }
  const asked = {
    stage,
    waitMs: nature === 'good' ? 5000 : 1000,
    watchMs: { 'crashes-later': 600, crashes: 300 }[nature as string] ?? 100,
  }
  const first = await ending(fly, second(strategy, { ...asked, token: 'secret-1', kept }))
  const killed = fly.dead.has('secret-1')
  const back = { ...asked, token: 'secret-2', rollout: stored, kept: async () => {} }
  const { end } = killed ? await ending(fly, second(strategy, back)) : first
  const where = `${strategy}, ${nature}, ${way} ${at}`
  expect(`${where}: ${end}`).toBe(
    `${where}: ${isGood(nature, strategy) ? 'live' : 'deploy-failed'}`,
  )
  await expectEnd(fly, end, strategy)
  return killed
}

/** Random numbers that are equal for equal seeds. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
    return state / 2 ** 32
  }
}
