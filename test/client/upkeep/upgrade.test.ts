import { expect, test } from 'vitest'
import { openFly } from '../../../client/src/up/fly-parts.ts'
import { upgradeBuilder } from '../../../client/src/upkeep/upgrade/upgrade-builder.ts'
import { fetchTransport, type Transport } from '#fly/transport.ts'
import { image, startFly, type TestFly, token, up } from '../up/start-fly.ts'

const third = `registry.fly.io/tarmac-third@sha256:${'d'.repeat(64)}`
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

test.concurrent('an upgrade keeps machine and volume, copies the records first, and says the version that it verified', async () => {
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
    expect.stringMatching(/backup \/data\/before-upgrade\.db\.new && chown .* && mv /),
  ])
  const text = notes.join('\n')
  expect(text).toMatch(/records copied[^]*updating to[^]*ready[^]*verified: version/)
  expect(fly.breaches).toEqual([])
  expect(fly.containers.drained.size).toBe(0)

  const again = await upgrade(fly, next)
  expect(again.done).toMatchObject({ to: next, changed: false })
  expect(fly.containers.commands).toHaveLength(1)
}, 60_000)

test.concurrent('an image that does not work is taken back, with the last words of its program, and the records before', async () => {
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

/** A client that dies after the call that makes this true. It makes no more calls. */
async function dies(fly: TestFly, to: string, isOver: () => boolean) {
  const real = fetchTransport()
  const never = new Promise<never>(() => {})
  const killed = Promise.withResolvers<'killed'>()
  let isKilled = false
  const dying: Transport = {
    async send(call, signal) {
      if (isKilled) return never
      const answer = await real.send(call, signal)
      isKilled ||= isOver()
      if (!isKilled) return answer
      killed.resolve('killed')
      return never
    },
    [Symbol.asyncDispose]: () => real[Symbol.asyncDispose](),
  }
  expect(await Promise.race([killed.promise, upgrade(fly, to, dying)])).toBe('killed')
}
const hasImage = (fly: TestFly, wanted: string) => () => machineOf(fly).config.image === wanted

test.concurrent('an upgrade that is killed after it has copied the records ends when it is run again', async () => {
  await using fly = await startFly()
  await up(fly)
  await dies(fly, next, () => fly.containers.commands.length > 0)
  expect(machineOf(fly).config.image).toBe(image)
  expect((await upgrade(fly, next)).done).toMatchObject({ to: next, changed: true })
}, 60_000)

test.concurrent('after an upgrade that ended well, the same upgrade never takes the machine back', async () => {
  await using fly = await startFly()
  await up(fly)
  await upgrade(fly, next)
  // Weeks later the same image does not run, for another reason.
  fly.containers.programs.set('tarmac-next', 'crashes')
  const { id } = machineOf(fly)
  await post(fly, id, 'stop')
  await expect.poll(() => machineOf(fly).state).toBe('stopped')
  await post(fly, id, 'start')
  await expect(upgrade(fly, next)).rejects.toThrow(/^Machine \w+ is /)
  expect(machineOf(fly).config).toMatchObject({ image: next })
  expect(machineOf(fly).config.env).not.toHaveProperty('TARMAC_GO_BACK_TO')
}, 60_000)

test.concurrent('a killed upgrade to an image that does not work ends well with a third image, and keeps the copy', async () => {
  await using fly = await startFly()
  await up(fly)
  fly.containers.programs.set('tarmac-bad', 'crashes')
  await dies(fly, bad, hasImage(fly, bad))
  const { done, notes } = await upgrade(fly, third)
  expect(done).toMatchObject({ from: image, to: third, changed: true })
  expect(notes.join('\n')).toMatch(/an earlier upgrade from .*tarmac@.* did not end, and .*bad@/)
  expect(fly.containers.commands).toHaveLength(1)
}, 90_000)

test.concurrent('an upgrade that finds the machine between two states waits for the end of that', async () => {
  await using fly = await startFly()
  await up(fly)
  fly.be({ fault: 'slow-stop', ms: 2000 })
  await dies(fly, next, hasImage(fly, next))
  expect(machineOf(fly).state).not.toBe('started')
  const { done, notes } = await upgrade(fly, third)
  expect(done).toMatchObject({ from: next, to: third })
  expect(notes[0]).toMatch(/^machine \w+: replacing; waits for the end of that$/)
}, 60_000)

test.concurrent('a killed upgrade to an image that works is the one to go back to', async () => {
  await using fly = await startFly()
  await up(fly)
  await dies(fly, next, hasImage(fly, next))
  fly.containers.programs.set('tarmac-bad', 'crashes')
  await expect(upgrade(fly, bad)).rejects.toThrow(/so the builder runs .*tarmac-next@.* again/)
  expect(fly.containers.commands).toHaveLength(2)
}, 90_000)

test.concurrent('two upgrades at once: the second waits for the first, says so, and goes on', async () => {
  await using fly = await startFly()
  await up(fly)
  const runs = await Promise.all([upgrade(fly, next), upgrade(fly, third)])
  expect(runs.map(({ done }) => done.to)).toEqual([next, third])
  const notes = runs.flatMap((run) => run.notes).join('\n')
  expect(notes).toMatch(/another command changes it; waits for .* until/)
  expect(notes).toMatch(/another command has changed it meanwhile; looking again/)
  expect(machineOf(fly).state).toBe('started')
}, 90_000)

test.concurrent('while Fly is not available, nobody says that the new image does not work', async () => {
  await using fly = await startFly()
  await up(fly)
  const real = fetchTransport()
  let isAway = false
  const away: Transport = {
    async send(call, signal) {
      const { pathname } = new URL(call.url)
      // From the first command in the machine after the update on.
      isAway ||= machineOf(fly).config.image === next && pathname.endsWith('/exec')
      if (isAway) return { status: 503, header: () => null, text: '{"error":"unavailable"}' }
      return real.send(call, signal)
    },
    [Symbol.asyncDispose]: () => real[Symbol.asyncDispose](),
  }
  await expect(upgrade(fly, next, away)).rejects.toMatchObject({
    code: 'fly-unavailable',
    message: expect.stringMatching(/nobody knows yet .* To verify it: tarmac upgrade --image /),
  })
  expect(machineOf(fly).config.image).toBe(next)
  expect((await upgrade(fly, next)).done).toMatchObject({ from: image, changed: false })
}, 90_000)

test.concurrent('a builder that was drained for an upgrade takes work again when Fly refuses the update', async () => {
  await using fly = await startFly()
  await up(fly)
  fly.be({ fault: 'refused', refusal: 'over-quota', on: '^POST /apps/[^/]+/machines/[^/]+$' })
  await expect(upgrade(fly, next)).rejects.toMatchObject({ code: 'fly-denied' })
  expect(fly.containers.drained).toEqual(new Set())
  expect(machineOf(fly).config.image).toBe(image)
}, 60_000)

test.concurrent('a builder takes work again when the upgrade cannot be made, or is interrupted', async () => {
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

test.concurrent('up with another image forgets the copy of an earlier upgrade', async () => {
  await using fly = await startFly()
  await up(fly)
  fly.containers.programs.set('tarmac-bad', 'crashes')
  await expect(upgrade(fly, bad)).rejects.toThrow(/runs .*tarmac@.* again/)
  await up(fly)
  expect(machineOf(fly).config.env).toHaveProperty('TARMAC_GO_BACK_TO')
  await up(fly, { image: next })
  expect(machineOf(fly).config.env).not.toHaveProperty('TARMAC_GO_BACK_TO')
}, 60_000)

const post = (fly: TestFly, id: string, action: string) =>
  fetch(`${fly.env.FLY_FLAPS_BASE_URL}/v1/apps/tarmac-personal/machines/${id}/${action}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  })
