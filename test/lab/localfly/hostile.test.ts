import { createServer } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { hostileApi } from '../../../lab/localfly/hostile-api.ts'
import { Hostile, Hostility, refusals } from '../../../lab/localfly/hostile.ts'
import { acquireLease } from '../../../lab/localfly/leases.ts'
import { FlyState } from '../../../lab/localfly/state.ts'
import { aMachine } from './machine.ts'
import { portOf } from '../../../gateway/src/host/port-of.ts'

const dir = mkdtempSync(join(tmpdir(), 'hostile-'))
afterAll(() => rmSync(dir, { recursive: true }))

const machine = aMachine()
const state = new FlyState(dir)
state.machines.set(machine.id, machine)
const hostile = new Hostile(state)
const be = (hostility: Hostility) => hostile.set(Hostility.parse(hostility))
const path = '/v1/apps/app/machines/abc'

test('the same seed strikes the same calls, whatever comes between them; another seed strikes others', () => {
  const fate = (seed: number, between: string[]) => {
    be({ seed, faults: [{ fault: 'slow', rate: 0.5 }] })
    const call = (name: string) =>
      hostile.strikes(['slow'], { app: 'app', machine, call: name }) !== null
    return Array.from(
      { length: 40 },
      () => (between.forEach(call), call('GET /apps/app/machines/abc')),
    )
  }
  expect(fate(7, [])).toEqual(fate(7, ['POST /apps/app/machines/abc/stop']))
  expect(fate(7, [])).not.toEqual(fate(8, []))
  expect(new Set(fate(7, []))).toEqual(new Set([true, false]))
})

test('a rule strikes a set number of times, after a set number of skipped cases, and only its target', () => {
  be({ faults: [{ fault: 'reverts', app: 'app', machine: 'web', times: 2, skip: 1 }] })
  const strikes = (app: string) => hostile.strikes(['reverts'], { app, machine }) !== null
  expect([1, 2, 3, 4].map(() => strikes('app'))).toEqual([false, true, true, false])
  expect([1, 2, 3].map(() => strikes('other'))).toEqual([false, false, false])
  expect(hostile.strikesOn('app')).toMatchObject([
    { fault: 'reverts', machine: 'abc' },
    { fault: 'reverts', machine: 'abc' },
  ])
})

test('an unknown fault or an unknown word is refused', () => {
  expect(() => Hostility.parse({ faults: [{ fault: 'bad luck' }] })).toThrow()
  expect(() => Hostility.parse({ faults: [{ fault: 'slow', often: 1 }] })).toThrow()
})

test.each([
  ['rate-limit', { status: 429, done: 0 }],
  ['error-before', { status: 503, done: 0 }],
  ['error-after', { status: 500, done: 1 }],
  ['edge', { status: 502, done: 0 }],
  ['unseen', { status: 404, done: 0 }],
  ['cut-before', { status: null, done: 0 }],
  ['cut', { status: null, done: 1 }],
  ['cut-midway', { status: null, done: 1 }],
  ['slow', { status: 200, done: 1 }],
  ['timeout-after', { status: 408, done: 1 }],
] as const)('%s has the effect in the table', async (fault, expected) => {
  be({ faults: [{ fault, times: 1, ms: 150 }] })
  await using api = await listen()
  const began = performance.now()
  const met = await api.ask('POST', path).catch(() => ({ status: null }))
  expect({ status: met.status, done: api.done() }).toEqual(expected)
  if (fault === 'slow') expect(performance.now() - began).toBeGreaterThan(140)
  expect(await api.ask('POST', path)).toMatchObject({ status: 200, body: { id: 'abc' } })
})

test('a late call is answered before it is executed', async () => {
  be({ faults: [{ fault: 'late', times: 1, ms: 10 }] })
  await using api = await listen()
  expect(await api.ask('POST', '/v1/apps/app/machines')).toMatchObject({
    status: 408,
    body: { error: expect.stringContaining('deadline_exceeded') },
  })
  expect(api.done()).toBe(0)
  await expect.poll(api.done).toBe(1)
})

test.each([
  ['POST', '/v1/apps'],
  ['GET', '/v1/apps?org_slug=personal'],
  ['DELETE', '/v1/apps/app?force=true'],
  ['POST', '/v1/apps/app/machines'],
  ['GET', '/v1/apps/app/machines?metadata.owner=ada'],
  ['GET', '/v1/orgs/personal/machines'],
  ['DELETE', '/v1/apps/app/machines/abc?force=true'],
  ['POST', '/v1/apps/app/machines/abc/suspend'],
  ['POST', '/v1/apps/app/machines/abc/start'],
  ['POST', '/v1/apps/app/machines/abc/exec'],
  ['PUT', '/v1/apps/app/machines/abc/metadata'],
  ['POST', '/v1/apps/app/network_policies'],
  ['POST', '/v1/apps/app/ip_assignments'],
] as const)('each fault of a call meets %s %s', async (method, call) => {
  await using api = await listen()
  for (const [fault, status, done] of [
    ['rate-limit', 429, 0],
    ['error-before', 503, 0],
    ['error-after', 500, 1],
    ['timeout-after', 408, 1],
    ['cut', null, 1],
  ] as const) {
    const before = api.done()
    be({ faults: [{ fault, times: 1 }] })
    const met = await api.ask(method, call).catch(() => ({ status: null }))
    expect([fault, met.status, api.done() - before]).toEqual([fault, status, done])
  }
})

test('Fly’s own refusals meet calls that would start a machine, each as requested or by the seed', async () => {
  await using api = await listen()
  for (const [refusal, [status, error, code]] of Object.entries(refusals) as [
    keyof typeof refusals,
    any,
  ][]) {
    be({ faults: [{ fault: 'refused', refusal }] })
    const at = refusal === 'no-volume-room' ? '/v1/apps/app/volumes' : path
    expect(await api.ask('POST', at)).toEqual({
      status,
      body: { error, ...(code && { status: code }) },
    })
    expect((await api.ask('POST', `${path}/lease`)).status).toBe(200)
  }
  const drawn = async (seed: number) => {
    be({ seed, faults: [{ fault: 'refused' }] })
    const met = Array.from({ length: 12 }, () => api.ask('POST', '/v1/apps/app/machines'))
    return (await Promise.all(met)).map(({ status }) => status).toSorted((a, b) => a - b)
  }
  expect(new Set(await drawn(1)).size).toBeGreaterThan(1)
  expect(await drawn(1)).toEqual(await drawn(1))
})

test('a stolen lease belongs to somebody else for a while, and only calls with a lease meet the thief', async () => {
  be({ faults: [{ fault: 'lease-stolen', times: 1 }] })
  await using api = await listen()
  const { nonce } = acquireLease(machine, { ttlSeconds: 10 }, undefined)
  await api.ask('POST', path)
  expect(machine.own.lease).toMatchObject({ nonce })
  await api.ask('POST', path, { 'fly-machine-lease-nonce': nonce })
  expect(machine.own.lease).toMatchObject({ owner: 'thief@tokens.fly.io' })
  machine.own.lease = null
})

test('a machine whose host is lost is shown without its config, and cannot be changed', async () => {
  be({ faults: [{ fault: 'host-gone', on: '^GET .*/abc$' }] })
  await using api = await listen()
  const gone = {
    id: 'abc',
    host_status: 'unreachable',
    config: null,
    incomplete_config: machine.config,
  }
  expect(await api.ask('GET', path)).toMatchObject({ status: 200, body: gone })
  expect((await api.ask('POST', path)).status).toBe(503)
  expect(hostile.isGone(machine)).toBe(true)
  be({})
  expect(await api.ask('GET', path)).toMatchObject({ body: { host_status: 'ok' } })
})

test('a skewed clock moves every time in an answer, in any format', async () => {
  be({ faults: [{ fault: 'clock-skew', ms: -90_000 }] })
  await using api = await listen()
  const { body } = await api.ask('GET', '/v1/apps/app')
  expect(body).toEqual({
    at: '2026-01-01T00:00:00.000Z',
    timestamp: 1_767_225_600_000,
    data: { expires_at: 1_767_225_600 },
    error: 'until 2026-01-01T00:00:00.000Z',
  })
})

const times = {
  at: '2026-01-01T00:01:30.000Z',
  timestamp: 1_767_225_690_000,
  data: { expires_at: 1_767_225_690 },
  error: 'until 2026-01-01T00:01:30Z',
}

/** An API behind the faults that counts its effects. */
async function listen() {
  let done = 0
  const server = createServer(
    hostileApi({
      state,
      hostile,
      api: (req, res) => {
        done++
        const { own: _own, ...shown } = machine
        res.end(JSON.stringify(req.url === path ? shown : times))
      },
    }),
  )
  await new Promise<void>((up) => server.listen(0, '127.0.0.1', up))
  const port = portOf(server)
  return {
    done: () => done,
    async ask(method: string, path: string, headers: Record<string, string> = {}) {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers })
      const text = await answer.text()
      return { status: answer.status, body: text.startsWith('{') ? JSON.parse(text) : text }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
}
