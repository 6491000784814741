import { expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../../gateway/src/config.ts'
import { Awake } from '../../../gateway/src/awake/awake.ts'
import { idleStopMs, untilIdle } from '../../../gateway/src/awake/idle-stop.ts'
import { openLog } from '../../../gateway/src/log.ts'

/** Waits for an idle time of 20 ms, with looks every millisecond. Notes what was tried. */
function start({ connections = 0 } = {}) {
  const clock = { ms: 0 }
  const awake = new Awake(() => clock.ms)
  awake.idleStopMs = 20
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const state = { connections, refused: 0, isOver: false }
  const stopAccepting = () => {
    if (state.connections > 0) state.refused++
    return state.connections === 0
  }
  const log = openLog('silent')
  const over = untilIdle({ awake, server: { stopAccepting }, log, signal: stop.signal }).then(
    () => (state.isOver = true),
  )
  let looks = 0
  awake.count('deployments', () => {
    looks++
    return 0
  })
  /** Resolves after further looks. */
  const look = async () => {
    const from = looks
    await expect.poll(() => looks, { interval: 1 }).toBeGreaterThan(from + 2)
  }
  return { clock, awake, state, over, look, stop }
}

test('the gateway stops once it has been idle for so long', async () => {
  const { clock, state, look, over } = start()
  clock.ms = 19
  await look()
  expect(state.isOver).toBe(false)
  clock.ms = 20
  await over
})

test('it does not stop while something holds it, whatever the idle time', async () => {
  const { clock, awake, state, look, over } = start()
  const sweep = awake.hold('sweeps')
  clock.ms = 1000
  await look()
  expect(state.isOver).toBe(false)
  sweep[Symbol.dispose]()
  await over
})

test('it does not stop while a connection is open: it may carry a request', async () => {
  const { clock, state, over } = start({ connections: 1 })
  clock.ms = 20
  await expect.poll(() => state.refused, { interval: 1 }).toBeGreaterThan(2)
  expect(state.isOver).toBe(false)
  state.connections = 0
  await over
})

test('work that begins while it looks keeps it awake', async () => {
  const { clock, awake, state } = start()
  let looks = 0
  awake.count('rollouts', async () => {
    looks++
    awake.hold('requests')[Symbol.dispose]() // begins and ends during every look
    return 0
  })
  clock.ms = 1000
  const timer = setInterval(() => (clock.ms += 1000), 1)
  onTestFinished(() => clearInterval(timer))
  await expect.poll(() => looks, { interval: 1 }).toBeGreaterThan(5)
  expect(state.isOver).toBe(false)
})

test('it stays awake while its records cannot be read', async () => {
  const { clock, awake, state, over } = start()
  let failures = 0
  awake.count('deployments', () => {
    if (++failures > 3) return 0
    throw new Error('disk I/O error')
  })
  clock.ms = 20
  await over
  expect([failures > 3, state.isOver]).toEqual([true, true])
})

test('off by default on a host, 10 minutes in a machine of Fly; a number is in seconds', () => {
  const read = (value?: string) => readConfig({ TARMAC_IDLE_STOP: value }).idleStop
  expect(idleStopMs(read(), null)).toBe(null)
  expect(idleStopMs(read(), { id: 'm1' })).toBe(600_000)
  expect(idleStopMs(read('off'), { id: 'm1' })).toBe(null)
  expect(idleStopMs(read('90'), null)).toBe(90_000)
  expect(() => read('10m')).toThrow(
    'TARMAC_IDLE_STOP: must be "off" or a number of seconds above 0, 2000000 at most, not "10m"',
  )
})

test('a gateway that does not stop when idle waits for its signal', async () => {
  const { stop, over, state } = start()
  stop.abort()
  await over
  expect(state.isOver).toBe(true)
})
