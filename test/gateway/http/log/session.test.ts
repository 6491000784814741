import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { Deployment } from '#api/deployment.ts'
import type { LogStore } from '../../../../gateway/src/deployments/follow.ts'
import { type LogSink, openSession } from '../../../../gateway/src/http/log/session.ts'
import { openLog } from '../../../../gateway/src/log.ts'

const heartbeatMs = 1000

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
})

/** A session whose sink notes what it is asked, and is stuck while the test says so. */
async function open({ state }: { state: 'building' | 'live' }) {
  const stop = new AbortController()
  const calls: string[] = []
  const reader = { isStuck: false, close: () => {} }
  const store = {
    find: () => Promise.resolve({ id: 'd1', state, logDroppedAt: null } as Deployment),
    eventsAfter: () => Promise.resolve([]),
    changed: () => new Promise<void>(() => {}),
  } satisfies LogStore
  const sink: LogSink = {
    send: () => null,
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
  openSession({ store, stopping: stop.signal, heartbeatMs, log }, 'd1', 0, sink)
  await vi.waitFor(() => expect(state === 'building' || calls.length > 0).toBe(true))
  const beat = () => vi.advanceTimersByTime(heartbeatMs)
  return { calls, reader, beat, stop: () => stop.abort() }
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
