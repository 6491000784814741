import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import { expect, test } from 'vitest'
import { lastGrowth } from '#fly/metrics/last-requests.ts'
import { MetricsApi } from '#fly/metrics/metrics-api.ts'
import { overUndici } from '#fly/undici-transport.ts'
import { usageOf } from '../../../lab/localfly/metrics/cgroup.ts'
import { Scraper } from '../../../lab/localfly/metrics/scraper.ts'
import { type App, FlyState } from '../../../lab/localfly/state.ts'
import { webRoutes } from '../../../lab/localfly/web-api.ts'

const signal = AbortSignal.timeout(30_000)
const now = Math.floor(Date.now() / 1000)
const mib = 1024 * 1024

/** localfly's Prometheus with an app `web` of machine `m1`, that was scraped every 15 s. */
async function start() {
  const dir = await mkdtemp(join(tmpdir(), 'metrics-'))
  const state = new FlyState(dir)
  const app = { org_slug: 'personal', ips: [], hostnames: [], secrets: {}, releases: [] }
  for (const name of ['web', 'webs']) state.apps.set(name, { ...app, name } as unknown as App)
  const scraper = new Scraper(state)
  const routes = express()
  webRoutes(routes, { state, token: 'secret', registry: 'none', scraper })
  const server = createServer(routes).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const metrics = new MetricsApi(overUndici(url, 'FlyV1 secret'), 'personal')
  return {
    url,
    scraper,
    metrics,
    /** 256 MiB, of which 96 are used, and half of one of two CPUs. The counters begin at 1000. */
    scrapes(instance: string, app: string, seconds: readonly number[]) {
      const labels = { app, region: 'ams', host: 'e1ab', instance }
      const scrapes = seconds.map((second) => ({
        at: now - 600 + second,
        memory: { mem_total: 256 * mib, mem_available: 160 * mib },
        cpu: { user: 1000 + 40 * second, system: 1000 + 10 * second, idle: 150 * second },
        responses: {},
      }))
      scraper.machines.set(instance, { labels, cpus: 2, scrapes })
    },
    async [Symbol.asyncDispose]() {
      scraper[Symbol.dispose]()
      await metrics[Symbol.asyncDispose]()
      server.close()
      await rm(dir, { recursive: true })
    },
  }
}

const range = { from: now - 600, to: now, step: 60 }
const everyQuarter = Array.from({ length: 41 }, (_, at) => at * 15)

test('memory in use and busy CPUs come from the series of Fly, by machine', async () => {
  await using lab = await start()
  lab.scrapes('m1', 'web', everyQuarter)
  lab.scrapes('m2', 'webs', everyQuarter)
  const found = await lab.metrics.machines(['web'], range, signal)
  expect([...found.keys()]).toEqual(['m1'])
  const { totalBytes, memoryBytes, cpus } = found.get('m1')!
  expect(totalBytes).toBe(256 * mib)
  expect(memoryBytes).toEqual(Array.from({ length: 11 }, () => 96 * mib))
  // A rate needs two scrapes.
  expect(cpus[0]).toBe(null)
  for (const value of cpus.slice(1)) expect(value).toBeCloseTo(0.5, 5)
  expect([...(await lab.metrics.machines(['web', 'webs'], range, signal)).keys()]).toEqual([
    'm1',
    'm2',
  ])
})

test('a step without a scrape near it is not measured, and a counter that begins again is no fall', async () => {
  await using lab = await start()
  lab.scrapes('m1', 'web', [0, 15, 30, 45, 60, 585, 600])
  const scraped = lab.scraper.machines.get('m1')!
  scraped.scrapes.at(-1)!.cpu = { user: 600, system: 150, idle: 0 }
  const { memoryBytes, cpus } = (await lab.metrics.machines(['web'], range, signal)).get('m1')!
  // The last value counts for five minutes.
  expect(memoryBytes.map((value) => value !== null)).toEqual(
    Array.from({ length: 11 }, (_, at) => at <= 5 || at === 10),
  )
  expect(cpus.map((value) => value !== null)).toEqual([
    false,
    true,
    true,
    ...Array.from({ length: 7 }, () => false),
    true,
  ])
  // 750 ticks since the restart, in 15 s.
  expect(cpus[10]).toBeCloseTo(0.5, 5)
})

test('the last request of an app is where a counter of its responses grew last', async () => {
  await using lab = await start()
  for (const [id, app] of [
    ['m1', 'web'],
    ['m2', 'webs'],
  ] as const)
    lab.scrapes(id, app, everyQuarter)
  const scrapesOf = (id: string) => lab.scraper.machines.get(id)!.scrapes
  for (const [at, scrape] of scrapesOf('m1').entries())
    if (at >= 10) scrape.responses = { '200': at < 20 ? 1 : 3 }
  // It answered before, and not since.
  for (const scrape of scrapesOf('m2')) scrape.responses = { '404': 7 }
  const found = await lab.metrics.lastRequests(['web', 'webs'], range, signal)
  expect([...found]).toEqual([['web', now - 600 + 300]])
  await expect(lab.metrics.lastRequests(['a"}'], range, signal)).rejects.toMatchObject({
    code: 'app-name-invalid',
  })
})

test('a counter that began again, or that was first seen in between, has grown', () => {
  const line = (app: string, ...values: [number, string][]) => ({ metric: { app }, values })
  const found = lastGrowth(
    [
      line('reset', [0, '9'], [60, '9'], [120, '2'], [180, '2']),
      line('new', [120, '1'], [180, '1']),
      line('quiet', [0, '4'], [180, '4']),
      line('empty'),
    ],
    { from: 0, step: 60 },
  )
  expect(Object.fromEntries(found)).toEqual({ reset: 120, new: 120 })
})

test('a stranger, another organisation and other PromQL are refused in words', async () => {
  await using lab = await start()
  const stranger = new MetricsApi(overUndici(lab.url, 'wrong'), 'personal')
  const other = new MetricsApi(overUndici(lab.url, 'secret'), 'elsewhere')
  for (const api of [stranger, other]) {
    const refused = api.machines(['web'], range, signal)
    await expect(refused).rejects.toMatchObject({ code: 'fly-denied' })
    await api[Symbol.asyncDispose]()
  }
  await expect(lab.metrics.machines(['a"}'], range, signal)).rejects.toMatchObject({
    code: 'app-name-invalid',
  })
  const ask = async (query: string) => {
    const asked = new URLSearchParams({ query, start: '1', end: '61', step: '60' })
    const path = `/prometheus/personal/api/v1/query_range?${asked.toString()}`
    const answer = await fetch(lab.url + path, { headers: { authorization: 'Bearer secret' } })
    return [answer.status, await answer.text()]
  }
  for (const query of ['avg(fly_instance_cpu{app="web"})', 'fly_instance_cpu', 'a{b="c"', 'a{b=1}'])
    expect(await ask(query)).toEqual([422, expect.stringContaining('localfly knows')])
  expect((await ask('fly_instance_up{app="web",region!="ams"}'))[0]).toBe(200)
})

test('the control group of a process says what it uses', async () => {
  const usage = (await usageOf(process.pid))!
  expect(usage.memoryBytes).toBeGreaterThan(mib)
  expect(usage.userTicks).toBeGreaterThan(0)
  expect(await usageOf(2 ** 30)).toBe(null)
})
