import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { DeploymentEvent } from '#api/event.ts'
import { Awake } from '../../../../gateway/src/awake/awake.ts'
import type { LogStore } from '../../../../gateway/src/deployments/follow.ts'
import { type LogSink, openSession } from '../../../../gateway/src/http/log/session.ts'
import { openLog } from '../../../../gateway/src/log.ts'

const heartbeatMs = 1000

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
})

/** A session whose sink notes what it is asked, and is stuck while the test says so. */
async function open({
  state,
  page = [],
  send = () => null,
  rightEnds = null,
}: {
  state: 'building' | 'live'
  page?: DeploymentEvent[]
  send?: LogSink['send']
  rightEnds?: AbortSignal | null
}) {
  const stop = new AbortController()
  const calls: string[] = []
  const reader = { isStuck: false, close: () => {} }
  const store = {
    find: () => Promise.resolve({ id: 'd1', state, logDroppedAt: null } as Deployment),
    eventsAfter: () => Promise.resolve(page),
    changed: () => new Promise<void>(() => {}),
  } satisfies LogStore
  const sink: LogSink = {
    send,
    keepAlive: () => void calls.push('keep alive'),
    isStuck: () => reader.isStuck,
    waitingBytes: () => 7,
    end: (deployment) => void calls.push(`end: ${deployment.state}`),
    disconnect: ({ type }) => void calls.push(type),
    fail: () => void calls.push('fail'),
    cut: () => void calls.push('cut'),
    onClose: (closed) => (reader.close = closed),
  }

  const log = openLog('silent')
  const awake = new Awake()
  const reading = { id: 'd1', after: 0, rightEnds }
  openSession({ store, awake, stopping: stop.signal, heartbeatMs, log }, reading, sink)
  await vi.waitFor(() =>
    expect(state === 'building' || page.length > 0 || calls.length > 0).toBe(true),
  )
  const beat = (times = 1) => vi.advanceTimersByTime(times * heartbeatMs)
  const readers = async () => (await awake.look()).counts.readers ?? 0
  return { calls, reader, beat, readers, stop: () => stop.abort() }
}

test('a reader that keeps up is kept alive; one that took nothing must reconnect, and is cut', async () => {
  const { calls, reader, beat } = await open({ state: 'building' })
  beat()
  reader.isStuck = true
  beat()
  reader.isStuck = false
  beat()
  expect(calls).toEqual(['keep alive', 'too-slow', 'cut'])
})

test('a stopping gateway disconnects a reader once, and cuts it at the next heartbeat', async () => {
  const { calls, beat, stop } = await open({ state: 'building' })
  stop()
  beat()
  expect(calls).toEqual(['stopping', 'cut'])
})

test('after the end of the log a reader has time to take it, unless it is stuck', async () => {
  const { calls, reader, beat, stop } = await open({ state: 'live' })
  stop()
  beat()
  expect(calls).toEqual(['end: live'])
  reader.isStuck = true
  beat()
  expect(calls).toEqual(['end: live', 'cut'])
})

test('nothing more is asked of a closed connection', async () => {
  const { calls, reader, beat, stop } = await open({ state: 'building' })
  reader.close()
  beat()
  stop()
  expect(calls).toEqual([])
})

test('a reader keeps the gateway awake until its connection is closed', async () => {
  const { reader, readers } = await open({ state: 'building' })
  expect(await readers()).toBe(1)
  reader.close()
  expect(await readers()).toBe(0)
})

test('a reader that takes a few bytes of an ended log now and then is sent away after an hour', async () => {
  const event: DeploymentEvent = { seq: 1, at: '2026', type: 'warning', text: 'slow' }
  const never = () => new Promise<void>(() => {})
  const { calls, beat } = await open({ state: 'live', page: [event], send: never })
  beat(239)
  expect(new Set(calls)).toEqual(new Set(['keep alive']))
  beat()
  await vi.waitFor(() => expect(calls.at(-1)).toBe('too-slow'))
})

test('a reader of a deployment that runs for hours is not sent away', async () => {
  const { calls, beat } = await open({ state: 'building' })
  beat(480)
  await new Promise(setImmediate)
  expect(new Set(calls)).toEqual(new Set(['keep alive']))
})

test('a reader is disconnected at once when its token works no longer', async () => {
  const right = new AbortController()
  const { calls } = await open({ state: 'building', rightEnds: right.signal })
  right.abort()
  expect(calls).toEqual(['unauthorized'])
  expect((await open({ state: 'building', rightEnds: right.signal })).calls).toEqual([
    'unauthorized',
  ])
})
