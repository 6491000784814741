import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { type PriceTable, rateOf } from '#api/status/prices.ts'
import { readConfig } from '../../../gateway/src/config.ts'
import { costShares } from '../../../gateway/src/deployments/status/cost-shares.ts'
import { costReader, costStatus, rateNow } from '../../../gateway/src/status/cost.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const table: PriceTable = {
  currency: 'USD',
  source: 'a bill of the tests',
  date: '2026-05-04',
  machines: [
    { kind: 'shared', cpus: 2, memoryMb: 4096, perSecond: 0.5 },
    { kind: 'shared', cpus: 2, memoryMb: 4096, perSecond: 2, region: 'gru' },
  ],
}
const size = { kind: 'shared', cpus: 2, memoryMb: 4096 }
const priced = { table, size, region: 'ams' }

const at = (time: string) => Date.parse(`2026-05-04T${time}Z`)

test('the seconds of the machine are shared evenly among the deployments at work', () => {
  expect(costShares(at('10:00:00'), at('10:00:09'), ['a', 'b', 'c'])).toEqual(
    ['a', 'b', 'c'].map((work) => ({ day: '2026-05-04', work, machineMs: 3000 })),
  )
})

test('idle time is nobody’s, and time is split at midnight', () => {
  expect(costShares(at('23:59:58'), at('23:59:59') + 4000, [])).toEqual([
    { day: '2026-05-04', work: null, machineMs: 2000 },
    { day: '2026-05-05', work: null, machineMs: 3000 },
  ])
})

test('time in which the machine slept, or its clock jumped, is not counted', () => {
  expect(costShares(at('10:00:00'), at('10:30:00'), ['a'])).toEqual([])
  expect(costShares(at('10:00:00'), at('09:00:00'), ['a'])).toEqual([])
})

/** A store with a clock that the test moves. */
function openMeter() {
  let now = at('10:00:00')
  const store = openSqliteStore(':memory:', { now: () => now })
  const start = () => store.startLife({ boot: 'b', maxDeaths: 3 }, 'The gateway stopped')
  const begin = async (app: string) => {
    const options = DeploymentOptions.parse({})
    await store.create({ id: app, app, options, source: null })
    const claim = await store.claim()
    return { id: app, epoch: claim!.epoch }
  }
  const pass = (seconds: number) => void (now += seconds * 1000)
  return { store, start, begin, pass, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() }
}
const costOf = async (store: ReturnType<typeof openMeter>['store'], id: string) =>
  (await store.find(id))!.cost

test('each deployment pays its share of the machine, and idle time is what is left', async () => {
  await using meter = openMeter()
  const { store, start, begin, pass } = meter
  await start()
  store.status.useRate(rateNow(priced))
  pass(100) // nothing is at work
  const shop = await begin('shop')
  pass(10)
  const blog = await begin('blog')
  pass(20)
  await store.advance(blog, 'fetching', 'cancelled')
  pass(5)
  await store.advance(shop, 'fetching', 'build_failed')
  pass(7)

  const prices = { source: 'a bill of the tests', date: '2026-05-04' }
  const inUsd = { currency: 'USD', prices }
  expect(await costOf(store, 'blog')).toEqual({ machineSeconds: 10, amount: 5, ...inUsd })
  expect(await costOf(store, 'shop')).toEqual({ machineSeconds: 25, amount: 12.5, ...inUsd })

  await store.status.countMachineTime()
  const status = costStatus(await store.status.machineTime('2026-05-01'), '2026-05-04', priced)
  const sum = (machineSeconds: number) => ({
    machineSeconds,
    amount: machineSeconds / 2,
    unpricedSeconds: 0,
  })
  const day = { work: sum(35), idle: sum(107) }
  expect(status).toEqual({
    currency: 'USD',
    prices,
    perHour: 1800,
    warning: null,
    today: day,
    month: day,
    days: [{ day: '2026-05-04', ...day }],
    apps: [
      { app: 'shop', today: sum(25), month: sum(25) },
      { app: 'blog', today: sum(10), month: sum(10) },
    ],
  })
})

test('a deployment that waits pays nothing, and one that never ran has no cost', async () => {
  await using meter = openMeter()
  const { store, start, begin, pass } = meter
  await start()
  await begin('shop')
  await store.create({
    id: 'waits',
    app: 'blog',
    options: DeploymentOptions.parse({}),
    source: null,
  })
  pass(10)
  await store.requestCancel('waits', { by: null, why: null, abort: false })
  expect(await costOf(store, 'waits')).toBeNull()
  expect(await store.status.machineTime('2026-05-04')).toMatchObject([])
  await store.status.countMachineTime()
  expect(await store.status.machineTime('2026-05-04')).toMatchObject([
    { app: 'shop', machineMs: 10_000, currency: '' },
  ])
})

test('a death of the gateway loses no more than the time since the last lease', async () => {
  await using meter = openMeter()
  const { store, start, begin, pass } = meter
  await start()
  const shop = await begin('shop')
  pass(10)
  await store.renew(shop)
  pass(60) // it dies, and its machine starts again
  await start()
  pass(30) // it waits for its turn
  const again = (await store.claim())!
  pass(4)
  await store.advance({ id: 'shop', epoch: again.epoch }, 'fetching', 'build_failed')
  expect(await costOf(store, 'shop')).toMatchObject({ machineSeconds: 14, amount: null })
})

test('the amount is null when some of the seconds had no price', async () => {
  await using meter = openMeter()
  const { store, start, begin, pass } = meter
  await start()
  const shop = await begin('shop')
  pass(10)
  store.status.useRate(rateNow(priced)) // Fly has said the size
  pass(10)
  await store.advance(shop, 'fetching', 'build_failed')
  expect(await costOf(store, 'shop')).toMatchObject({ machineSeconds: 20, amount: null })
  const { month } = await costReader(store.status, () => priced)()
  expect(month.work).toEqual({ machineSeconds: 0, amount: 0, unpricedSeconds: 0 }) // another month
  const { today } = costStatus(await store.status.machineTime('2026-05-01'), '2026-05-04', priced)
  expect(today.work).toEqual({ machineSeconds: 20, amount: 5, unpricedSeconds: 10 })
})

test('without prices it says what to set, and counts no money', () => {
  const time = { day: '2026-05-04', app: 'shop', currency: '', machineMs: 1000, amount: 0 }
  const none = costStatus([time], '2026-05-04', { table: null, size, region: 'ams' })
  expect(none).toMatchObject({
    currency: null,
    perHour: null,
    warning: expect.stringContaining('TARMAC_PRICES'),
    today: { work: { machineSeconds: 1, amount: null, unpricedSeconds: 1 } },
  })
  const other = { ...priced, size: { ...size, cpus: 8 } }
  expect(costStatus([], '2026-05-04', other).warning).toBe(
    'The price table has no machine of shared, 8 CPUs, 4096 MB in ams. Add it to TARMAC_PRICES.',
  )
})

test('a price for the region goes before one for all regions', () => {
  expect(rateOf(table, size, 'gru')).toMatchObject({ perSecond: 2, currency: 'USD' })
  expect(rateOf(table, size, 'ams')).toMatchObject({ perSecond: 0.5 })
  expect(rateOf(table, { ...size, memoryMb: 8192 }, 'ams')).toBeNull()
})

test('the price table is JSON or a file with it; a wrong one refuses the start, with its place', () => {
  expect(readConfig({}).prices).toBeNull()
  const text = JSON.stringify(table)
  expect(readConfig({ TARMAC_PRICES: text }).prices).toEqual(table)
  const file = join(mkdtempSync(join(tmpdir(), 'tarmac-prices-')), 'prices.json')
  writeFileSync(file, text)
  expect(readConfig({ TARMAC_PRICES: file }).prices).toEqual(table)

  const wrong = (value: string) => () => readConfig({ TARMAC_PRICES: value })
  expect(wrong('/nowhere/prices.json')).toThrow('TARMAC_PRICES: must be a price table as JSON')
  expect(wrong('{')).toThrow('TARMAC_PRICES: must be a price table as JSON')
  expect(wrong(JSON.stringify({ ...table, currency: '$' }))).toThrow('currency: must be like USD')
  expect(wrong(JSON.stringify({ ...table, date: 'May' }))).toThrow('date: must be a day')
  expect(wrong(JSON.stringify({ ...table, machines: [{ kind: 'shared' }] }))).toThrow(
    'machines.0.cpus',
  )
})
