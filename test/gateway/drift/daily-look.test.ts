import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Problem } from '#api/problem.ts'
import type { DailyDeps } from '../../../gateway/src/drift/daily-look.ts'
import { startDrift } from './start-drift.ts'

const hourMs = 3_600_000
const unavailable = () => new Problem('fly-unavailable', 'Fly does not answer.')

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** Apps whose looks are counted. `answers`: what a look at an app meets. */
async function startDays(names: string[]) {
  await using opening = new AsyncDisposableStack()
  const gateway = opening.use(await startDrift())
  vi.useRealTimers()
  for (const name of names) {
    await gateway.app(name)
    await gateway.address(name)
  }
  const looked: string[] = []
  const answers = new Map<string, () => void>()
  const drift: DailyDeps['drift'] = {
    async lookDaily(app, signal) {
      looked.push(app)
      answers.get(app)?.()
      return gateway.drift.lookDaily(app, signal)
    },
    failed: (app, problem) => gateway.drift.failed(app, problem),
    list: () => gateway.drift.list(),
  }
  const open = opening.move()
  return {
    ...gateway,
    answers,
    /** The apps that were looked at since the last call. */
    looked: () => looked.splice(0),
    daily: () => gateway.daily({ drift }),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  }
}

test('each app is looked at once a day; begin and end are in the log of its release, and in the status', async () => {
  await using gateway = await startDays(['shop', 'web'])
  const { clock, publicAddress, fly, signal, events, log, drift, looked } = gateway
  const open = await publicAddress('web')
  await using daily = await gateway.daily()
  expect(await daily.status()).toMatchObject({ checkedAt: null, looked: 0, drifted: 0 })
  await daily.look()
  expect(looked()).toEqual(['shop', 'web'])
  expect(await daily.status()).toEqual({
    checkedAt: '2026-11-30T05:00:00.000Z',
    running: false,
    looked: 2,
    drifted: 1,
    apps: [{ app: 'web', findings: 1, since: '2026-11-30T05:00:00.000Z' }],
    problem: null,
  })
  expect(await events('web')).toEqual([`begun public-address ${open}`])
  expect(log.warn).toHaveBeenCalledWith(
    { app: 'web', code: 'public-address', subject: open },
    `drift begins: The app can be reached from everywhere at ${open}.`,
  )
  expect(await drift.warningsOf('web')).toEqual([
    expect.stringMatching(/^Drift \(public-address, since 2026-11-30\): The app can be reached/),
  ])

  clock.ms += 24 * hourMs
  await daily.look()
  expect((await drift.list()).apps).toMatchObject([
    {
      app: 'web',
      lookedAt: '2026-12-01T05:00:00.000Z',
      findings: [{ since: '2026-11-30T05:00:00.000Z' }],
    },
  ])
  expect(await events('web')).toHaveLength(1)

  await fly.releaseIp('web', open!, signal)
  clock.ms += 24 * hourMs
  await daily.look()
  expect(await events('web')).toEqual([
    `begun public-address ${open}`,
    `ended public-address ${open}`,
  ])
  expect(await drift.warningsOf('web')).toEqual([])
  expect(await daily.status()).toMatchObject({ drifted: 0, apps: [] })
})

test('a look that a stop interrupts goes on with the apps that are left', async () => {
  await using gateway = await startDays(['a', 'b', 'c'].map((name) => `app-${name}`))
  const { answers, looked, clock } = gateway
  {
    await using daily = await gateway.daily()
    const stopped = daily.look()
    answers.set('app-b', () => void daily[Symbol.asyncDispose]())
    await stopped
    expect(looked()).toEqual(['app-a', 'app-b'])
  }
  answers.clear()
  clock.ms += hourMs
  await using again = await gateway.daily()
  await again.look()
  // The stop came before the look at app-b was kept, or after.
  expect(looked().slice(-1)).toEqual(['app-c'])
  expect(await again.status()).toMatchObject({ looked: 3, running: false, problem: null })
})

test('a start after a day that was slept through looks within seconds; it stays awake until then, and half an hour at most', async () => {
  await using gateway = await startDays(['web'])
  const { clock, looked, answers } = gateway
  {
    await using first = await gateway.daily()
    await first.look()
    looked()
  }
  clock.ms += 23 * hourMs
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  {
    await using early = await gateway.daily()
    await vi.advanceTimersByTimeAsync(60_000)
    expect([looked(), early.isBusy]).toEqual([[], false])
  }

  clock.ms += 30 * hourMs
  await using late = await gateway.daily()
  expect(late.isBusy).toBe(true)
  let awake: boolean[] = []
  answers.set('web', () => {
    awake = [late.isBusy]
    clock.ms += hourMs
    awake.push(late.isBusy)
  })
  await vi.advanceTimersByTimeAsync(20_000)
  vi.useRealTimers()
  await vi.waitFor(async () => expect((await late.status()).running).toBe(false))
  expect([looked(), awake, late.isBusy]).toEqual([['web'], [true, false], false])
})

test('while Fly is unavailable the look stops and goes on later; one app alone holds nothing up', async () => {
  await using gateway = await startDays(['a', 'b', 'c', 'd'].map((name) => `app-${name}`))
  const { answers, looked, clock } = gateway
  await using daily = await gateway.daily()
  const away = () => {
    throw unavailable()
  }
  for (const app of ['app-a', 'app-b', 'app-c', 'app-d']) answers.set(app, away)
  await daily.look()
  expect(looked()).toEqual(['app-a', 'app-b', 'app-c'])
  expect(await daily.status()).toMatchObject({ checkedAt: null, problem: 'Fly does not answer.' })

  answers.clear()
  answers.set('app-b', away)
  clock.ms += hourMs
  await daily.look()
  expect(looked()).toEqual(['app-a', 'app-b', 'app-c', 'app-d'])
  expect(await daily.status()).toMatchObject({
    checkedAt: '2026-11-30T06:00:00.000Z',
    problem: 'app-b could not be looked at: Fly does not answer.',
  })
})

test('an app that Fly does not have any more is forgotten', async () => {
  await using gateway = await startDays(['web'])
  const { fly, signal, drift, clock, publicAddress } = gateway
  await publicAddress('web')
  await using daily = await gateway.daily()
  await daily.look()
  expect((await drift.list()).apps).toHaveLength(1)
  await fly.deleteApp('web', signal)
  clock.ms += 24 * hourMs
  await daily.look()
  expect(await drift.list()).toMatchObject({ looked: 0, apps: [] })
})
