import { expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { queueStatus } from '#api/status/queue.ts'
import { GatewayStatus } from '#api/status/status.ts'
import { gatewayStatus } from '../../../gateway/src/commands/status.ts'
import { startHttp, toLive } from '../http/start-http.ts'

const about = { version: '1.2.3', startedAt: new Date(Date.now() - 90_000) }
const disk = { ok: true, detail: 'free', freeBytes: 5, sizeBytes: 10 }

test('gives the parts that can be read, and why a part is unknown', async () => {
  const status = await gatewayStatus({
    ...about,
    readers: {
      disk: () => disk,
      mirror: () => Promise.reject(new Problem('registry-unavailable', 'The mirror is silent.')),
      awake: () => {
        throw new Problem('not-ready', 'It is starting.')
      },
      machine: () => null,
    },
  })
  expect(status).toEqual({
    version: '1.2.3',
    at: expect.any(String),
    startedAt: about.startedAt.toISOString(),
    uptimeSeconds: 90,
    disk,
    mirror: { unknown: 'The mirror is silent.' },
    awake: { unknown: 'It is starting.' },
  })
  expect(GatewayStatus.parse(status)).toEqual(status)
})

test('does not wait for a part that does not answer', async () => {
  const readers = { disk: () => disk, cache: () => new Promise<never>(() => {}) }
  const status = await gatewayStatus({ ...about, readers, partMs: 1 })
  expect(status).toMatchObject({ disk, cache: { unknown: 'no answer within 0.001 s' } })
})

test('the queue has each state that has deployments', async () => {
  await using http = await startHttp()
  expect(queueStatus(await http.store.status.unfinishedByState())).toEqual({
    waiting: 0,
    running: 0,
    byState: {},
  })
  await http.create()
  await http.play(toLive)
  await http.create()
  await http.play([['analyzing']])
  await http.create()
  expect(queueStatus(await http.store.status.unfinishedByState())).toEqual({
    waiting: 1,
    running: 1,
    byState: { pending: 1, analyzing: 1 },
  })
})

test('GET /v1/status needs a token', async () => {
  await using http = await startHttp({ status: () => gatewayStatus({ ...about, readers: {} }) })
  expect(await (await http.get('/v1/status')).json()).toMatchObject({ version: '1.2.3' })
  expect((await fetch(`${http.url}/v1/status`)).status).toBe(401)
})
