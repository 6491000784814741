import { expect, test } from 'vitest'
import { AwakeStatus } from '#api/status/awake.ts'
import { Awake } from '../../../gateway/src/awake/awake.ts'

function start() {
  const clock = { ms: 0 }
  return { clock, awake: new Awake(() => clock.ms) }
}

test('the idle time begins again when an activity ends, not when a sweep ends', async () => {
  const { clock, awake } = start()
  const upload = awake.hold('uploads')
  clock.ms = 1000
  expect((await awake.look()).idleMs).toBe(0)
  upload[Symbol.dispose]()
  clock.ms = 3000
  const sweep = awake.hold('sweeps')
  clock.ms = 4000
  expect(await awake.look()).toMatchObject({ idleMs: 3000, counts: { sweeps: 1 } })
  sweep[Symbol.dispose]()
  expect((await awake.look()).idleMs).toBe(3000)
})

test('what is counted keeps the gateway awake like what is held', async () => {
  const { clock, awake } = start()
  let running = 2
  awake.count('deployments', () => Promise.resolve(running))
  using _held = awake.hold('deployments')
  clock.ms = 5000
  expect(await awake.look()).toMatchObject({ idleMs: 0, counts: { deployments: 3 } })
  running = 0
  expect((await awake.look()).counts.deployments).toBe(1)
})

test('a hold that is released twice counts once', async () => {
  const { awake } = start()
  const [one, _two] = [awake.hold('requests'), awake.hold('requests')]
  one[Symbol.dispose]()
  one[Symbol.dispose]()
  expect((await awake.look()).counts.requests).toBe(1)
})

test('work that fails holds no longer', async () => {
  const { awake } = start()
  const disk = Promise.withResolvers<void>()
  const failing = awake.during('sweeps', () => disk.promise)
  expect((await awake.look()).counts.sweeps).toBe(1)
  disk.reject(new Error('disk'))
  await expect(failing).rejects.toThrow('disk')
  expect((await awake.look()).counts).toEqual({})
})

test('a look is outdated once something has begun or ended', async () => {
  const { awake } = start()
  const look = await awake.look()
  expect(look.isCurrent()).toBe(true)
  awake.hold('sweeps')[Symbol.dispose]()
  expect(look.isCurrent()).toBe(false)
})

test('the status names what is there, since when it is idle, and when it stops', async () => {
  const { clock, awake } = start()
  awake.idleStopMs = 600_000
  const upload = awake.hold('uploads')
  expect(AwakeStatus.parse(await awake.status())).toEqual({
    holds: [{ name: 'uploads', count: 1 }],
    idleSince: null,
    idleStopSeconds: 600,
  })
  upload[Symbol.dispose]()
  clock.ms = 60_000
  const { holds, idleSince } = await awake.status()
  expect(holds).toEqual([])
  expect(Date.now() - Date.parse(idleSince!)).toBeGreaterThanOrEqual(60_000)
})

test('a hold with a time begins again with each call', async () => {
  const { clock, awake } = start()
  const released = awake.extendable('releases', 90)
  expect((await awake.look()).counts).toEqual({})
  released()
  clock.ms = 80
  released()
  clock.ms = 169
  expect(await awake.look()).toMatchObject({ counts: { releases: 1 }, idleMs: 169 })
  clock.ms = 170
  expect((await awake.look()).counts).toEqual({})
})
