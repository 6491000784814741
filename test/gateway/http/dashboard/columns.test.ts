import { expect, test } from 'vitest'
import { buildsPart } from '../../../../gateway/src/http/dashboard/app/builds-part.ts'
import { phasesPart } from '../../../../gateway/src/http/dashboard/app/phases-part.ts'
import { columnPicture } from '../../../../gateway/src/http/dashboard/pictures/column-picture.ts'
import {
  columnsOf,
  medianOf,
  topOf,
} from '../../../../gateway/src/http/dashboard/pictures/columns.ts'
import { startHttp, toBuildFailed, toLive } from '../start-http.ts'

test('parts are stacked from below, and the highest column fills the picture', () => {
  const [first, second] = columnsOf(
    [
      [10, 0, 30],
      [20, 0, 0],
    ],
    40,
  )
  expect(first).toEqual({
    left: 0,
    width: 66.7,
    parts: [
      { at: 0, top: 150, height: 50 },
      { at: 2, top: 0, height: 150 },
    ],
    isCut: false,
  })
  expect(second).toMatchObject({ left: 83.3, parts: [{ at: 0, top: 100, height: 100 }] })
})

test('many columns share the width', () => {
  const columns = columnsOf(
    Array.from({ length: 30 }, () => [1]),
    1,
  )
  expect(columns.at(-1)!.left + columns.at(-1)!.width).toBeLessThan(1000)
  expect(columns.at(-1)!.left).toBeGreaterThan(960)
})

test('one column that is much higher than the others is cut, and says so', () => {
  const all = [[10], [12], [11], [900]]
  expect(topOf(all)).toBe(12)
  const columns = columnsOf(all, topOf(all))
  expect(columns.map(({ isCut }) => isCut)).toEqual([false, false, false, true])
  expect(columns[3]!.parts).toEqual([{ at: 0, top: 0, height: 200 }])
})

test('nothing, zeros and broken numbers make no broken picture', () => {
  expect([topOf([]), topOf([[]]), topOf([[0], [0]]), medianOf([])]).toEqual([0, 0, 0, 0])
  const broken = [[Number.NaN, 5, -3], [Infinity], [0, 0], []]
  expect(topOf(broken)).toBe(5)
  const columns = columnsOf(broken, topOf(broken))
  expect(columns.map(({ parts }) => parts.length)).toEqual([1, 0, 0, 0])
  expect(columnsOf([[0]], 0)[0]!.parts).toEqual([])
})

test('names in a picture are text', () => {
  const hostile = '<script>alert(1)</script>"'
  const text = columnPicture({
    summary: hostile,
    kinds: [{ name: hostile, look: 'phase-building' }],
    columns: [{ values: [1], name: hostile, hasFailed: true }],
    text: String,
  }).toString()
  expect(text).not.toContain('<script')
  expect(text).toContain('&lt;script&gt;')
})

test('a picture shows where the time of each deployment went, and marks the failed ones', async () => {
  await using server = await startHttp()
  const part = async () => {
    const { deployments } = await server.store.list('shop', { limit: 30, before: null })
    return phasesPart(deployments).toString()
  }
  await server.create()
  expect(await part()).toContain('No deployment has ended yet')
  await server.play(toLive)
  expect(await part()).toMatch(/aria-label="#1, oldest first\. Half of them took /)
  await server.create()
  await server.play(toBuildFailed)
  const text = await part()
  expect(text).toMatch(/aria-label="#1 to #2, oldest first\..* 1 of 2 failed\."/)
  expect(text).toContain('#2: failed')
  expect(text).not.toMatch(/NaN|undefined|Infinity/)
})

test('a picture shows what builds had from the cache and used, with a link to compare them', async () => {
  await using server = await startHttp()
  const part = async () => {
    const { deployments } = await server.store.list('shop', { limit: 30, before: null })
    return buildsPart(deployments).toString()
  }
  expect(await part()).toContain('No build of the app has been measured yet')
  await server.create()
  await server.play([['analyzing'], ['building'], ['built', { buildSteps: { cached: 0, run: 4 } }]])
  expect(await part()).not.toMatch(/NaN|undefined|Infinity/)
  await server.create()
  const buildUsage = { cpuMs: 2000, peakMemoryBytes: 3e6 }
  const buildSteps = { cached: 3, run: 1 }
  await server.play([['analyzing'], ['building'], ['built', { buildSteps, buildUsage }]])
  const text = await part()
  expect(text).toContain('38 % came from the cache')
  expect(text).toContain('one step had 3.0 MB at most')
  expect(text).toMatch(/\/ui\/compare\?a=[^"]*"\s*>with #1</)
  expect(text).not.toMatch(/NaN|undefined|Infinity/)
})

test('the queue shows how long deployments waited, once, and not with each refresh', async () => {
  await using server = await startHttp()
  const page = async (headers = {}) => (await server.get('/ui/queue', headers)).text()
  expect(await page()).toContain('No deployment has begun yet')
  await server.create()
  await server.play([['analyzing']])
  const text = await page()
  expect(text).toMatch(/The last 1, oldest first\. Half waited \d/)
  expect(text).not.toMatch(/NaN|undefined|Infinity/)
  expect(await page({ 'Tarmac-Refresh': '1' })).not.toContain('oldest first.')
})
