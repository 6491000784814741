import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { DeploymentOptions } from '#api/options.ts'
import { Drain } from '../../../gateway/src/commands/drain.ts'
import { operator } from '../../../gateway/src/callers/principal.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { Runner } from '../../../gateway/src/pipeline/runner.ts'
import type { Steps } from '../../../gateway/src/pipeline/steps.ts'
import { readConfig } from '../../../gateway/src/config.ts'
import { openSqliteStore } from '../../../gateway/src/store/sqlite.ts'

const log = openLog('silent')

/** A gateway whose builds run until the test ends them, or until they are stopped. */
async function startGateway() {
  const store = openSqliteStore(':memory:')
  const builds: (() => void)[] = []
  let starts = 0
  const steps = {
    secrets: async () => new Map(),
    fetch(_deployment, signal) {
      starts++
      return new Promise((_resolve, reject) => {
        builds.push(() => reject(new Error('ended by the test')))
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    },
  } as Partial<Steps> as Steps
  const { limits } = readConfig({})
  const runner = await Runner.start({ store, steps, log, limits, hiddenValues: () => [], boot: '' })
  const drain = new Drain({ store, runner, log })
  const submit = (id: string) =>
    store.create({ id, app: id, options: DeploymentOptions.parse({}), source: null })
  const state = async (id: string) => (await store.find(id))!.state
  return {
    store,
    drain,
    submit,
    state,
    starts: () => starts,
    endBuilds: () => builds.splice(0).forEach((end) => end()),
    async [Symbol.asyncDispose]() {
      drain[Symbol.dispose]()
      builds.splice(0).forEach((end) => end())
      await runner[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}

test('a drain lets running work end, starts nothing from the queue, and takes nothing new', async () => {
  await using gateway = await startGateway()
  const { drain, submit, state } = gateway
  await submit('running')
  await expect.poll(() => state('running')).toBe('fetching')

  expect(await drain.start(operator, 60_000)).toMatchObject({ state: 'draining', running: 1 })
  expect(() => drain.assertAccepting()).toThrow(
    expect.objectContaining({ code: 'draining', facts: { retryAfterSeconds: 60 } }),
  )
  expect(() => drain.assertDrained()).toThrow('still ends 1 deployments')
  await expect(drain.whileOpen(async () => 1)()).rejects.toMatchObject({ code: 'draining' })

  await submit('waiting')
  gateway.endBuilds()
  await expect.poll(() => state('running')).toBe('build_failed')
  expect(await drain.status(operator)).toMatchObject({ state: 'drained', running: 0, queued: 1 })
  drain.assertDrained()
  for (let turn = 0; turn < 50; turn++) await nextTurn()
  expect([await state('waiting'), gateway.starts()]).toEqual(['pending', 1])

  expect(await drain.end(operator)).toMatchObject({ state: 'working', since: null })
  await expect.poll(() => state('waiting')).toBe('fetching')
  expect(await drain.whileOpen(async () => 1)()).toBe(1)
})

test('what still runs at the limit is stopped without a failure, and runs again after the drain', async () => {
  await using gateway = await startGateway()
  const { drain, submit, state, store } = gateway
  await submit('slow')
  await expect.poll(() => state('slow')).toBe('fetching')

  await drain.start(operator, 0)
  await expect.poll(async () => (await drain.status(operator)).state).toBe('drained')
  expect(await state('slow')).toBe('pending')
  const events = await store.eventsAfter('slow', 0, 100)
  expect(events.at(-1)).toMatchObject({
    type: 'state',
    state: 'pending',
    reason: 'The gateway is drained. This continues afterwards.',
  })

  await drain.end(operator)
  await expect.poll(() => state('slow')).toBe('fetching')
  expect((await store.find('slow'))!.attempt).toBe(2)
})

test('an upload that began before the drain counts until it is complete', async () => {
  await using gateway = await startGateway()
  const upload = gateway.drain.upload()
  expect(await gateway.drain.start(operator, 60_000)).toMatchObject({
    state: 'draining',
    uploads: 1,
  })
  expect(() => gateway.drain.upload()).toThrow('takes no new work')
  upload[Symbol.dispose]()
  expect(await gateway.drain.status(operator)).toMatchObject({ state: 'drained', uploads: 0 })
})

test('a gateway that nobody replaces takes work again by itself', async () => {
  await using gateway = await startGateway()
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    await gateway.drain.start(operator, 1000)
    await vi.advanceTimersByTimeAsync(1000 + 15 * 60_000)
  } finally {
    vi.useRealTimers()
  }
  await sleep(0)
  expect(await gateway.drain.status(operator)).toMatchObject({ state: 'working' })
})
