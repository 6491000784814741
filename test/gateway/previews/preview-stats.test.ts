import { expect, onTestFinished, test, vi } from 'vitest'
import type { Preview, PreviewPage } from '../../../api/previews/preview.ts'
import type { PreviewStats } from '../../../api/previews/preview-stats.ts'
import { startMachines } from '../start-machines.ts'

const prices = {
  currency: 'USD',
  source: 'a test',
  date: '2026-11-30',
  machines: [{ kind: 'shared', cpus: 1, memoryMb: 512, perSecond: 0.001 }],
}

test('the stats count previews by state, owner and team, with ages and what they cost', async () => {
  await using gateway = await startMachines({ prices })
  const { images, call, get } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const ask = async (owner: string) =>
    (await call<Preview>('POST', '/v1/previews?wait=true', { app: 'shop', owner, source })).body
  const [first] = [await ask('alice'), await ask('alice'), await ask('bob')]
  await call('POST', `/v1/previews/${first.id}/stop`)

  const stats = await get<PreviewStats>('/v1/previews/stats')
  expect(stats).toMatchObject({
    count: 3,
    states: { ready: 2, stopped: 1 },
    oldest: first.id,
    currency: 'USD',
    perHour: expect.closeTo(10.8),
    unpriced: 0,
    owners: [
      { app: 'shop', owner: 'alice', count: 2, perHour: expect.closeTo(7.2) },
      { app: 'shop', owner: 'bob', count: 1, perHour: expect.closeTo(3.6) },
    ],
    teams: [{ team: 'default', count: 3 }],
    stuck: [],
  })
  expect(await get('/v1/previews/stats?owner=bob')).toMatchObject({ count: 1 })
  expect(await get('/v1/previews/stats?app=other')).toMatchObject({
    count: 0,
    ageSeconds: null,
    oldest: null,
    perHour: 0,
  })
  expect(await call('GET', '/v1/previews/stats?state=ready')).toMatchObject({ status: 422 })
  expect((await get<PreviewPage>('/v1/previews?state=living')).previews.length).toBe(3)
})

test('a preview that Fly does not delete is stuck, with the reason', async () => {
  await using gateway = await startMachines()
  const { fly, images, call, get } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const { body } = await call<Preview>('POST', '/v1/previews?wait=true', {
    app: 'shop',
    owner: 'alice',
    source,
  })
  const on = new RegExp(`^DELETE /apps/${body.flyApp}`)
  for (let at = 0; at < 15; at++) fly.faults.push({ on, fault: 'before' })
  await call('DELETE', `/v1/previews/${body.id}`)
  const read = () => get<Preview>(`/v1/previews/${body.id}`)
  await expect.poll(async () => (await read()).problem, { timeout: 9000 }).not.toBeNull()

  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 6 * 60_000 })
  onTestFinished(() => void vi.useRealTimers())
  expect(await get('/v1/previews/stats')).toMatchObject({
    stuck: [{ id: body.id, state: 'destroying', why: expect.stringContaining('503') }],
    currency: null,
    perHour: null,
  })
})
