import { expect, test } from 'vitest'
import type { PoolList } from '../../api/previews/pool.ts'
import type { Preview } from '../../api/previews/preview.ts'
import { startWorld } from '../../lab/soak/previews/world.ts'
import type { CrashPoint } from './crash-table.ts'

const config = '[http_service]\ninternal_port = 8080\n'

test('a gateway that is killed while it fills a pool, or gives from it, leaves no machine and no preview of two', async () => {
  await using world = await startWorld({ gateways: 1, port: 9671 })
  const gateway = world.gateways[0]!
  const { state } = world.fly
  const image = `${world.registry}/library/alpine:latest`
  const machines = () =>
    [...state.machines.values()].filter((machine) => machine.state !== 'destroyed')
  const untilFull = () =>
    expect
      .poll(async () => (await gateway.call('GET', '/v1/pools')).body, { timeout: 40_000 })
      .toMatchObject({ pools: [{ ready: 1, warming: 0 }] })
  const dies = async (point: CrashPoint, act: () => Promise<unknown>) => {
    const before = gateway.kills
    gateway.killAt(point, 1)
    await act()
    await expect.poll(() => gateway.kills, { timeout: 20_000 }).toBe(before + 1)
    await gateway.up
  }
  const pool = '/v1/apps/shop/pools/small'
  await gateway.call('PUT', '/v1/apps/shop/templates/small', { config })
  const set = () => gateway.call('PUT', pool, { image, size: 1 })
  for (const point of ['record-made', 'create-sent', 'verified', 'entry-rested'] as const) {
    await dies(point, set)
    await untilFull()
    expect([point, machines().length]).toEqual([point, 1])
    await gateway.call('DELETE', pool)
    await expect
      .poll(() => [machines().length, state.apps.size], { timeout: 20_000 })
      .toEqual([0, 0])
  }

  await set()
  await untilFull()
  const taken = new Set<string>()
  for (const point of ['record-made', 'claim-started', 'claim-answers'] as const) {
    const body = { app: 'shop', owner: point, template: 'small', source: { image } }
    const ask = () => gateway.call('POST', '/v1/previews', body, { 'idempotency-key': point })
    await dies(point, ask)
    const { status, body: preview } = (await ask()) as { status: number; body: Preview }
    expect([point, status, preview]).toMatchObject([
      point,
      202,
      { owner: point, fromPool: true, state: 'ready' },
    ])
    taken.add(preview.flyApp)
    await untilFull()
    const owners = machines().map(({ own, config }) => [
      own.app,
      config.metadata?.['tarmac_preview_owner'],
    ])
    expect(new Set(owners.map(([app]) => app)).size).toBe(owners.length)
    const { pools } = (await gateway.call('GET', '/v1/pools')).body as PoolList
    expect(pools[0]!.claimedToday).toBe(taken.size)
  }
  expect(taken.size).toBe(3)
}, 240_000)
