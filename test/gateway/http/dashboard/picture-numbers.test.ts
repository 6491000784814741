import { expect, test } from 'vitest'
import type { Deployment } from '../../../../api/deployment.ts'
import type { AppMetrics, MachineMetrics } from '../../../../api/machines/machine-metrics.ts'
import type { DiskSample } from '../../../../api/status/disk/disk-history.ts'
import { buildsPart } from '../../../../gateway/src/http/dashboard/app/builds-part.ts'
import { metricsPart } from '../../../../gateway/src/http/dashboard/app/metrics-part.ts'
import { phasesPart } from '../../../../gateway/src/http/dashboard/app/phases-part.ts'
import { diskHistoryPart } from '../../../../gateway/src/http/dashboard/builder/disk-history-part.ts'
import type { Html } from '../../../../gateway/src/http/dashboard/parts/html.ts'
import { waitsPart } from '../../../../gateway/src/http/dashboard/queue/waits-part.ts'
import { startHttp, toLive } from '../start-http.ts'

/** Records of ended deployments with these facts, newest first as a store lists them. */
async function records(...facts: Partial<Deployment>[]): Promise<Deployment[]> {
  await using server = await startHttp()
  await server.create()
  await server.play(toLive)
  const { deployments } = await server.store.list('shop', { limit: 1, before: null })
  return facts
    .map((each, at) => ({ ...deployments[0]!, id: `d${at + 1}`, number: at + 1, ...each }))
    .toReversed()
}

/** Each block of a picture: `#1: building 3.0 s`, and how high it is, of 200. */
const blocksOf = (part: Html) =>
  [...part.toString().matchAll(/height="([\d.]+)"\s*>\s*<title>([^<]*)<\/title>/g)].map(
    ([, height, title]): [string, number] => [title!, Number(height)],
  )
/** The cells of a part's table, row by row. */
const rowsOf = (part: Html) =>
  (part.toString().split('<tbody>')[1]?.split('<tr>') ?? []).slice(1).map((row) =>
    [...row.matchAll(/<td[^>]*>([^]*?)<\/td>/g)].map(([, cell]) =>
      cell!
        .replaceAll(/<[^>]*>/g, ' ')
        .replaceAll(/\s+/g, ' ')
        .trim(),
    ),
  )
const summaryOf = (part: Html) =>
  [...part.toString().matchAll(/aria-label="([^"]*)"/g)].map(([, text]) => text)

test('where the time goes: the columns, the sentence and the table say what the records say', async () => {
  const part = phasesPart(
    await records(
      { phases: { pending: 1000, building: 3000, deploying: 4000 } },
      { phases: { pending: 0, building: 20, deploying: 3980 } },
      { phases: { pending: 2000, building: 2000 }, state: 'build_failed' },
    ),
  )
  expect(summaryOf(part)).toEqual([
    '#1 to #3, oldest first. Half of them took 4.0 s or less. 50 % of all the time is deploying. Half waited 1.0 s or less, none more than 2.0 s. 1 of 3 failed.',
  ])
  expect(blocksOf(part)).toEqual([
    ['#1: waiting 1.0 s', 25],
    ['#1: building 3.0 s', 75],
    ['#1: deploying 4.0 s', 100],
    ['#2: building 20 ms', 0.5],
    ['#2: deploying 4.0 s', 99.5],
    ['#3: waiting 2.0 s', 50],
    ['#3: building 2.0 s', 50],
    ['#3: failed', 6],
  ])
  const [third, second] = rowsOf(part)
  expect(third!.slice(0, 10)).toEqual([
    '#3',
    '✕ build failed',
    '2.0 s',
    '',
    '',
    '2.0 s',
    '',
    '',
    '',
    '4.0 s',
  ])
  expect(second!.slice(2, 9)).toEqual(['0 s', '', '', '20 ms', '', '4.0 s', ''])
})

test('waits: the half and the longest are those of the records', async () => {
  const waits = [100, 60_000, 0, 5000, 200]
  const part = waitsPart(await records(...waits.map((pending) => ({ phases: { pending } }))))
  expect(summaryOf(part)).toEqual([
    'The last 5, oldest first. Half waited 0.2 s or less, none more than 1 min 0 s.',
  ])
  expect(rowsOf(part).map(([name, waited]) => [name, waited])).toEqual([
    ['shop #5', '0.2 s'],
    ['shop #4', '5.0 s'],
    ['shop #3', '0 s'],
    ['shop #2', '1 min 0 s'],
    ['shop #1', '0.1 s'],
  ])
})

test('builds: shares from the cache, CPU time and memory are those of the records', async () => {
  const part = buildsPart(
    await records(
      { buildSteps: { cached: 0, run: 8 }, buildUsage: { cpuMs: 40_000, peakMemoryBytes: 3e8 } },
      { buildSteps: { cached: 6, run: 2 }, buildUsage: { cpuMs: 10_000, peakMemoryBytes: 1e8 } },
      { buildSteps: { cached: 8, run: 0 }, buildUsage: null },
    ),
  )
  expect(summaryOf(part)).toEqual([
    'Steps: 58 % came from the cache.',
    'CPU time of steps: half of the builds used 10 s or less, none more than 40 s.',
    'Memory: one step had 300.0 MB at most.',
  ])
  expect(blocksOf(part).slice(0, 4)).toEqual([
    ['#1: run 8', 200],
    ['#2: from the cache 6', 150],
    ['#2: run 2', 50],
    ['#3: from the cache 8', 200],
  ])
  expect(rowsOf(part).map((row) => row.slice(2, 6))).toEqual([
    ['8', '8', '', ''],
    ['8', '6', '10 s', '100.0 MB'],
    ['8', '0', '40 s', '300.0 MB'],
  ])
  const cached = buildsPart(await records({ buildSteps: { cached: 3, run: 0 }, buildUsage: null }))
  // A picture without a value is a sentence.
  expect(summaryOf(cached)).toEqual(['Steps: 100 % came from the cache.'])
  expect(cached.toString()).toContain('Memory of steps: none was measured.')
})

const machine = (id: string, more: Partial<MachineMetrics>): MachineMetrics => ({
  id,
  owner: null,
  region: 'ams',
  group: 'app',
  memoryTotalBytes: null,
  memoryBytes: [null, null, null],
  cpus: [null, null, null],
  ...more,
})
const mib = 2 ** 20
const measured = (...machines: MachineMetrics[]): AppMetrics => ({
  from: '2026-11-30T10:00:00.000Z',
  to: '2026-11-30T10:02:00.000Z',
  stepSeconds: 60,
  machines,
  omitted: 0,
})

test('machines: memory of what they have, and CPU; what was not measured has no column', () => {
  const used = machine('m1', {
    memoryTotalBytes: 200 * mib,
    memoryBytes: [null, 50 * mib, 100 * mib],
    cpus: [null, 0.5, 0.25],
  })
  const part = metricsPart(measured(used, machine('m2', { owner: 'ada' })))
  expect(summaryOf(part)).toEqual([
    'Memory: 100 MiB of 200 MiB now, 100 MiB at most.',
    'CPU: 25 % now, 38 % on average, 50 % at most.',
  ])
  expect(blocksOf(part)).toEqual([
    ['10:01 UTC: memory of m1 50 MiB', 50],
    ['10:02 UTC: memory of m1 100 MiB', 100],
    ['10:01 UTC: CPU of m1 50 %', 200],
    ['10:02 UTC: CPU of m1 25 %', 100],
  ])
  expect(rowsOf(part)).toEqual([
    ['m1', 'ams', '100 MiB', '100 MiB', '200 MiB', '25 %', '38 %', '50 %'],
    ['m2 for ada', 'ams', 'not measured'],
  ])
  expect(metricsPart(measured()).toString()).toContain('no machine to measure')
  const idle = machine('m1', {
    memoryTotalBytes: 1e8,
    memoryBytes: [0, 0, 0],
    cpus: [0, 0, 0.0004],
  })
  expect(summaryOf(metricsPart(measured(idle)))[1]).toContain(
    '&lt; 0.1 % now, &lt; 0.1 % on average',
  )
  // A tenth of a CPU fills the picture at least.
  expect(blocksOf(metricsPart(measured(idle)))).toEqual([['10:02 UTC: CPU of m1 &lt; 0.1 %', 0.8]])
  const several = Array.from({ length: 9 }, (_, at) => ({ ...used, id: `m${at}` }))
  expect(metricsPart(measured(...several)).toString()).toContain('Pictures of 6 of 9 machines')
})

const sample = (at: number, freeBytes: number, cacheBytes: number | null = 20e9): DiskSample => ({
  at: new Date(Date.UTC(2026, 10, 1) + at).toISOString(),
  sizeBytes: 100e9,
  freeBytes,
  cacheBytes,
  sourceBytes: 5e9,
})
const minutes = (count: number) => count * 60_000

test('the disk: cache, sources, the rest and what is free; a time without a gateway has no column', () => {
  expect(diskHistoryPart({ everySeconds: 600, samples: [] }).toString()).toContain('Nothing has')
  const samples = [sample(0, 70e9), sample(minutes(10), 60e9, null), sample(minutes(30), 65e9)]
  const part = diskHistoryPart({ everySeconds: 600, samples })
  expect(summaryOf(part)).toEqual([
    'Since 2026-11-01 00:00 UTC. At least 60.0 GB of 100.0 GB were free. The build cache had 20.0 GB at most, and has 20.0 GB.',
  ])
  expect(blocksOf(part)).toEqual([
    ['2026-11-01 00:00 UTC: build cache 20.0 GB', 40],
    ['2026-11-01 00:00 UTC: sources 5.0 GB', 10],
    ['2026-11-01 00:00 UTC: other 5.0 GB', 10],
    ['2026-11-01 00:00 UTC: free 70.0 GB', 140],
    ['2026-11-01 00:10 UTC: sources 5.0 GB', 10],
    ['2026-11-01 00:10 UTC: other 35.0 GB', 70],
    ['2026-11-01 00:10 UTC: free 60.0 GB', 120],
    ['2026-11-01 00:30 UTC: build cache 20.0 GB', 40],
    ['2026-11-01 00:30 UTC: sources 5.0 GB', 10],
    ['2026-11-01 00:30 UTC: other 10.0 GB', 20],
    ['2026-11-01 00:30 UTC: free 65.0 GB', 130],
  ])
  expect(rowsOf(part)[1]).toEqual([
    '2026-11-01 00:10 UTC',
    'not known',
    '5.0 GB',
    '35.0 GB',
    '60.0 GB',
  ])
})

test('two weeks of samples are few columns, each the moment with the least free', () => {
  const samples = Array.from({ length: 14 * 144 }, (_, at) =>
    sample(minutes(10 * at), at === 1000 ? 1e9 : 70e9),
  )
  const part = diskHistoryPart({ everySeconds: 600, samples })
  const free = blocksOf(part).filter(([title]) => title.includes('free'))
  expect(free).toHaveLength(84)
  expect(free.filter(([, height]) => height === 2)).toHaveLength(1)
})
