import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import type { MachineView } from '#api/machines/machine-facts.ts'
import { MetricsApi, type MachineSeries } from '#fly/metrics/metrics-api.ts'
import { overUndici } from '#fly/undici-transport.ts'
import { machineMetrics } from '../../../gateway/src/commands/machines/machine-metrics.ts'
import { metricsPart } from '../../../gateway/src/http/dashboard/app/metrics-part.ts'
import { partOf } from '../../../gateway/src/http/dashboard/parts/part-of.ts'

const machine = (id: string, owner: string | null = null, flyApp = 'shop') =>
  ({ id, owner, flyApp, region: 'ams', group: 'app' }) as MachineView
const used = (memory: number): MachineSeries => ({
  totalBytes: 512,
  memoryBytes: Array.from({ length: 61 }, () => memory),
  cpus: Array.from({ length: 61 }, () => 0.5),
})

/** Metrics that note which apps were asked for. */
function measuring(machines: MachineView[]) {
  const asked: string[][] = []
  const read = machineMetrics({
    list: async () => machines,
    metrics: {
      async machines(apps, { from, to, step }) {
        expect([(to - from) / 60, (to - from) / step]).toEqual([60, 60])
        asked.push([...apps])
        return new Map(machines.slice(0, 2).map(({ id }, at) => [id, used(at)]))
      },
    },
  })
  return { asked, read }
}

test('each machine has its own use; the apps of owners are asked for in one question', async () => {
  const { read, asked } = measuring([
    machine('m1'),
    machine('m2', 'ada', 'shop-ada'),
    machine('m3', 'bob', 'shop-bob'),
  ])
  const all = await read('shop', { owner: null, minutes: 60 })
  expect(asked).toEqual([['shop', 'shop-ada', 'shop-bob']])
  expect(
    all.machines.map(({ id, owner, memoryTotalBytes }) => [id, owner, memoryTotalBytes]),
  ).toEqual([
    ['m1', null, 512],
    ['m2', 'ada', 512],
    ['m3', 'bob', null],
  ])
  expect(all.machines[2]!.cpus).toEqual(Array.from({ length: 61 }, () => null))
  expect([all.stepSeconds, all.omitted]).toEqual([60, 0])
  expect(Date.parse(all.to) - Date.parse(all.from)).toBe(3_600_000)

  const own = await read('shop', { owner: 'ada', minutes: 60 })
  expect(own.machines.map(({ id }) => id)).toEqual(['m2'])
  expect(asked.at(-1)).toEqual(['shop-ada'])
  // Many viewers of a page make no further question.
  await Promise.all(Array.from({ length: 20 }, () => read('shop', { owner: 'ada', minutes: 60 })))
  expect(asked).toHaveLength(2)
})

test('of very many machines the rest is counted, and of none nothing is asked', async () => {
  const many = Array.from({ length: 300 }, (_, at) => machine(`m${at}`, `o${at}`, `shop-${at}`))
  const { read, asked } = measuring(many)
  const { machines, omitted } = await read('shop', { owner: null, minutes: 60 })
  expect([machines.length, omitted, asked[0]!.length]).toEqual([50, 250, 50])
  const none = measuring([])
  expect((await none.read('shop', { owner: null, minutes: 60 })).machines).toEqual([])
  expect(none.asked).toEqual([])
})

test('when Fly accepts the question and does not answer, the page says so soon', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
  const metrics = new MetricsApi(overUndici(url, 'secret'), 'acme')
  const read = machineMetrics({ list: async () => [machine('m1')], metrics })
  const part = await partOf(read('shop', { owner: null, minutes: 60 }), metricsPart)
  expect(part.toString()).toContain('Fly&#39;s metrics did not answer within 3.5 s.')
  await metrics[Symbol.asyncDispose]()
  silent.closeAllConnections()
  silent.close()
})
