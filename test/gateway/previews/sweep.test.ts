import { expect, test } from 'vitest'
import type { Preview } from '../../../api/previews/preview.ts'
import { stuckOf } from '../../../gateway/src/deployments/previews/stuck.ts'
import {
  flyAppOf,
  hasMark,
  markOf,
  newPreviewId,
  previewIdIn,
} from '../../../gateway/src/deployments/previews/preview-names.ts'
import { startMachines } from '../start-machines.ts'

const hourMs = 3_600_000
const sweepMs = 50
/** Fly allows one list per second. */
const slow = { timeout: 10_000 }

test('an app of this gateway that no preview has is deleted, and so is an abandoned one of another; others stay', async () => {
  await using gateway = await startMachines({ sweepMs })
  const { fly, images, get, call } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const { body } = await call<Preview>('POST', '/v1/previews?wait=true', {
    app: 'shop',
    owner: 'alice',
    source,
  })
  const [machine] = fly.machines(body.flyApp)
  const appLike = (name: string, metadata: Record<string, string> | null) => {
    const app = { ...fly.apps.get(body.flyApp)!, name, machines: new Map() }
    const config = { ...machine!.config, metadata: metadata ?? {} }
    if (metadata) app.machines.set('m1', { ...machine!, id: `${name}-m1`, config })
    fly.apps.set(name, app)
  }
  const marks = (id: string, afterMs: number) => ({
    tarmac_preview: id,
    tarmac_preview_ends: new Date(Date.now() + afterMs).toISOString(),
  })
  appLike('shop-pv-test00000000', null) // ours, empty, without a record
  appLike('shop-pv-test00000001', marks('pv-test00000001', hourMs)) // ours, without a record
  appLike('shop-pv-zzzz00000001', marks('pv-zzzz00000001', -2 * hourMs)) // abandoned
  appLike('shop-pv-zzzz00000002', marks('pv-zzzz00000002', -hourMs / 2)) // its gateway may be slow
  appLike('shop-pv-zzzz00000003', marks('pv-zzzz00000009', -2 * hourMs)) // not what it says
  appLike('shop-pv-zzzz00000004', {}) // somebody's app with such a name
  appLike('shop-pv-zzzz00000005', null)

  await expect
    .poll(() => [...fly.apps.keys()].toSorted(), slow)
    .toEqual(
      [body.flyApp, ...['2', '3', '4', '5'].map((last) => `shop-pv-zzzz0000000${last}`)].toSorted(),
    )
  expect(await get<Preview>(`/v1/previews/${body.id}`)).toMatchObject({ state: 'ready' })
})

test('a preview follows what others do with its machine, and is gone when Fly has it no more', async () => {
  await using gateway = await startMachines({ sweepMs })
  const { fly, images, get, call } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const { body } = await call<Preview>('POST', '/v1/previews?wait=true', {
    app: 'shop',
    owner: 'alice',
    source,
  })
  const read = () => get<Preview>(`/v1/previews/${body.id}`)
  const machine = fly.machines(body.flyApp)[0]!
  Object.assign(machine, { state: 'stopped', cordoned: true })
  await expect.poll(read, slow).toMatchObject({ state: 'stopped' })
  Object.assign(machine, { state: 'started', cordoned: false })
  await expect.poll(read, slow).toMatchObject({ state: 'ready', readyAt: body.readyAt })

  const later = await call<Preview>('POST', `/v1/previews/${body.id}/extend`, { ttlSeconds: 3000 })
  expect(later).toMatchObject({ status: 200 })
  await expect
    .poll(() => machine.config.metadata?.['tarmac_preview_ends'], slow)
    .toBe(later.body.expiresAt)

  fly.apps.delete(body.flyApp)
  await expect.poll(read, slow).toMatchObject({ state: 'destroyed', ending: { why: 'gone' } })
  expect(await call('POST', `/v1/previews/${body.id}/extend`, {})).toMatchObject({
    status: 409,
    body: { code: 'preview-over' },
  })
})

test('a preview stays ready while the proxy has stopped its machine, which the next request starts', async () => {
  await using gateway = await startMachines({ sweepMs })
  const { fly, images, get, call } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const asked = { app: 'shop', owner: 'alice', source }
  const { body } = await call<Preview>('POST', '/v1/previews?wait=true', asked)
  const read = () => get<Preview>(`/v1/previews/${body.id}`)
  const machine = fly.machines(body.flyApp)[0]!
  const service = machine.config.services![0]!
  machine.state = 'stopped'
  await sweepsAfter(gateway, 2)
  expect(await read()).toMatchObject({ state: 'ready' })

  delete service['autostart'] // Fly's default
  await sweepsAfter(gateway, 2)
  expect(await read()).toMatchObject({ state: 'ready' })
  service['autostart'] = false
  await expect.poll(read, slow).toMatchObject({ state: 'stopped' })
})

test('an app that a caller gave the name of a preview is never swept, nor one with a machine of others', async () => {
  await using gateway = await startMachines({ sweepMs })
  const { fly, images, deploy } = gateway
  const [mine, others] = ['shop-pv-test00000009', 'shop-pv-test00000008']
  const { state } = await deploy(mine, { image: images.put(mine, 'v1').name })
  expect(state).toBe('live')
  const app = fly.apps.get(mine)!
  fly.apps.set(others, { ...app, name: others, machines: new Map(app.machines) })
  await sweepsAfter(gateway, 2)
  expect([...fly.apps.keys()]).toEqual([mine, others])
})

/** Waits until so many more sweeps have ended. */
async function sweepsAfter({ fly }: Awaited<ReturnType<typeof startMachines>>, more: number) {
  const count = () => fly.calls.filter((call) => call === 'GET /orgs/personal/machines').length
  const from = count()
  await expect.poll(count, slow).toBeGreaterThan(from + more)
}

test('a removal that Fly refuses is tried again, and the record says why', async () => {
  await using gateway = await startMachines()
  const { fly, images, get, call } = gateway
  const source = { image: images.put('shop', 'v1').name }
  const { body } = await call<Preview>('POST', '/v1/previews?wait=true', {
    app: 'shop',
    owner: 'alice',
    source,
  })
  const read = () => get<Preview>(`/v1/previews/${body.id}`)
  for (let time = 0; time < 6; time++)
    fly.faults.push({ on: /^DELETE \/apps\/shop-pv-/, fault: 'before' })
  await call('DELETE', `/v1/previews/${body.id}`)
  await expect
    .poll(read, { timeout: 10_000 })
    .toMatchObject({ state: 'destroying', problem: { code: 'fly-unavailable' } })
  await expect.poll(read, { timeout: 15_000 }).toMatchObject({ state: 'destroyed' })
  expect(fly.apps.has(body.flyApp)).toBe(false)
}, 40_000)

test('the name of a preview’s app names the preview, at any length, and its gateway', () => {
  const mark = markOf(new Uint8Array(32).fill(7))
  const id = newPreviewId(mark)
  expect([hasMark(id, mark), hasMark(id, '0000')]).toEqual([true, false])
  for (const app of ['a1', 'shop', `${'a'.repeat(46)}-b${'c'.repeat(15)}`]) {
    const name = flyAppOf({ id, app })
    expect(name.length).toBeLessThanOrEqual(63)
    expect(previewIdIn(name)).toBe(id)
  }
  for (const other of ['shop', 'shop-pv', 'shop-pv-1', 'shop-pv-uuuuuuuuuuuu', `${id}-x`])
    expect(previewIdIn(other)).toBe(null)
})

test('stuck is what makes no progress, not what is old', () => {
  const nowMs = Date.parse('2026-01-01T12:00:00Z')
  const at = (minutes: number) => new Date(nowMs - minutes * 60_000).toISOString()
  const of = (state: Preview['state'], minutes: number, problem: string | null = null) =>
    ({ state, stateSince: at(minutes), problem: problem && { detail: problem } }) as Preview
  const building = { state: 'building', updatedAt: at(1) } as const
  expect(stuckOf(of('starting', 60), building, nowMs)).toBe(null)
  expect(stuckOf(of('starting', 60), { ...building, updatedAt: at(11) }, nowMs)).toEqual({
    since: at(11),
    why: 'its deployment is building and makes no progress',
  })
  expect(stuckOf(of('ready', 600), null, nowMs)).toBe(null)
  expect(stuckOf(of('destroying', 4), null, nowMs)).toBe(null)
  expect(stuckOf(of('destroying', 6, 'Fly is down'), null, nowMs)).toMatchObject({
    why: 'Fly is down',
  })
})
