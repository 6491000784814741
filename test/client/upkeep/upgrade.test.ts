import { expect, test } from 'vitest'
import { openFly } from '../../../client/src/up/fly-parts.ts'
import { upgradeBuilder } from '../../../client/src/upkeep/upgrade/upgrade-builder.ts'
import { fetchTransport, type Transport } from '#fly/transport.ts'
import { image, startFly, type TestFly, token, up } from '../up/start-fly.ts'

const next = `registry.fly.io/tarmac-next@sha256:${'b'.repeat(64)}`
const bad = `registry.fly.io/tarmac-bad@sha256:${'c'.repeat(64)}`

/** One run of `tarmac upgrade --image REF` on the builder that `up` has made. */
async function upgrade(
  fly: TestFly,
  to: string,
  transport: Transport = fetchTransport(),
  signal = AbortSignal.timeout(60_000),
) {
  const notes: string[] = []
  const report = (text: string) => void notes.push(text)
  const parts = openFly({ env: fly.env, token, transport }, { report, signal })
  const [machine] = await parts.machines.machines('tarmac-personal', signal)
  const done = await upgradeBuilder(parts, 'tarmac-personal', { machine: machine!, image: to })
  return { done, notes }
}
const machineOf = (fly: TestFly) =>
  [...fly.state.machines.values()].find(({ state }) => state !== 'destroyed')!

test('an upgrade keeps machine and volume, copies the records first, and says the version that it verified', async () => {
  await using fly = await startFly()
  await up(fly)
  const { id, config } = machineOf(fly)
  const { done, notes } = await upgrade(fly, next)
  expect(done).toMatchObject({ from: image, to: next, changed: true })
  expect(done.version).toContain('tarmac-next@')
  expect(machineOf(fly)).toMatchObject({
    id,
    state: 'started',
    config: { image: next, mounts: config.mounts },
  })
  expect(fly.containers.commands).toEqual([
    expect.stringMatching(/tarmac-gateway backup \/data\/before-upgrade\.db && chown/),
  ])
  const text = notes.join('\n')
  expect(text).toMatch(/records copied[^]*updating to[^]*ready[^]*verified: version/)
  expect(fly.breaches).toEqual([])
  expect(fly.containers.drained.size).toBe(0)

  const again = await upgrade(fly, next)
  expect(again.done).toMatchObject({ to: next, changed: false })
  expect(fly.containers.commands).toHaveLength(1)
}, 60_000)

test('an image that does not work is taken back, with the last words of its program, and the records before', async () => {
  await using fly = await startFly()
  await up(fly)
  fly.containers.programs.set('tarmac-bad', 'crashes')
  await expect(upgrade(fly, bad)).rejects.toMatchObject({
    code: 'builder-failed',
    message: expect.stringMatching(
      /The image .*tarmac-bad.* did not work, so the builder runs .*tarmac@.* again, with its records\. What failed:\nMachine /,
    ),
  })
  expect(machineOf(fly)).toMatchObject({
    state: 'started',
    config: { image, env: { TARMAC_GO_BACK_TO: '/data/before-upgrade.db' } },
  })

  expect((await upgrade(fly, next)).done).toMatchObject({ from: image, to: next })
  expect(machineOf(fly).config.env).not.toHaveProperty('TARMAC_GO_BACK_TO')
}, 60_000)

test('an upgrade that is killed after it has copied the records ends when it is run again', async () => {
  await using fly = await startFly()
  await up(fly)
  const real = fetchTransport()
  let isKilled = false
  const dying: Transport = {
    async send(call, signal) {
      if (isKilled) throw new Error('killed')
      isKilled = fly.containers.commands.length > 0
      return real.send(call, signal)
    },
    [Symbol.asyncDispose]: () => real[Symbol.asyncDispose](),
  }
  await expect(upgrade(fly, next, dying)).rejects.toThrow()
  expect(machineOf(fly).config.image).toBe(image)
  expect((await upgrade(fly, next)).done).toMatchObject({ to: next, changed: true })
}, 60_000)

test('a builder takes work again when the upgrade cannot be made, or is interrupted', async () => {
  await using fly = await startFly()
  await up(fly)
  const real = fetchTransport()
  const stop = new AbortController()
  const stopping: Transport = {
    async send(call, signal) {
      const answer = await real.send(call, signal)
      // The drain has begun.
      if (fly.containers.drained.size > 0) stop.abort(new Error('interrupted'))
      return answer
    },
    [Symbol.asyncDispose]: () => real[Symbol.asyncDispose](),
  }
  await expect(upgrade(fly, next, stopping, stop.signal)).rejects.toThrow('interrupted')
  expect(fly.containers.drained.size).toBe(0)
  expect(machineOf(fly).config.image).toBe(image)

  fly.be({ fault: 'refused', refusal: 'no-capacity', on: '/machines/[^/]+$' })
  await expect(upgrade(fly, next)).rejects.toThrow()
  expect(fly.containers.drained.size).toBe(0)
  fly.be()

  // A client that was killed could end nothing. `tarmac up` repairs that.
  fly.containers.drained.add(machineOf(fly).private_ip)
  const { notes } = await up(fly)
  expect(notes.at(-1)).toMatch(/takes work again/)
  expect(fly.containers.drained.size).toBe(0)
}, 60_000)
