import { expect, test } from 'vitest'
import { MachinesApi } from '#fly/machines-api.ts'
import { FakeFly } from '../fakes/machines-api.ts'

const config = { image: 'registry.fly.io/web@sha256:1' }
const signal = AbortSignal.timeout(60_000)

async function start() {
  const fake = await FakeFly.start()
  const fly = new MachinesApi({ baseUrl: fake.url, token: 'secret' })
  await fly.createApp({ name: 'web', org: 'personal', network: null }, signal)
  const close = async () =>
    void (await Promise.all([fly[Symbol.asyncDispose](), fake[Symbol.asyncDispose]()]))
  return { fake, fly, [Symbol.asyncDispose]: close }
}

test.concurrent('reads are retried after 5xx, 429 and broken connections; a 429 waits for the time that it gives', async () => {
  await using lab = await start()
  for (const fault of ['before', 'lost', '429'] as const) lab.fake.faults.push({ on: /GET/, fault })
  const began = performance.now()
  expect(await lab.fly.machines('web', signal)).toEqual([])
  expect(performance.now() - began).toBeGreaterThan(1000)
  expect(lab.fake.calls.filter((call) => call.startsWith('GET'))).toHaveLength(4)
})

test.concurrent('a create whose answer is lost is found by its name and not repeated', async () => {
  await using lab = await start()
  for (const fault of ['after', 'lost'] as const) {
    lab.fake.faults.push({ on: /POST .*machines$/, fault })
    const made = await lab.fly.createMachine('web', { name: fault, region: 'fra', config }, signal)
    expect(made.name).toBe(fault)
  }
  expect(lab.fake.machines('web')).toHaveLength(2)
})

test.concurrent('an update whose answer is lost is not repeated blindly', async () => {
  await using lab = await start()
  const made = await lab.fly.createMachine('web', { name: 'a', region: 'fra', config }, signal)
  const ref = { app: 'web', id: made.id }
  await using lease = await lab.fly.lease(ref, { description: 'test' }, signal)
  lab.fake.faults.push({ on: /POST .*machines\/\w+$/, fault: 'lost' })
  const update = lease.update({ config, current_version: made.instance_id }, signal)
  await expect(update).rejects.toMatchObject({ code: 'fly-unavailable' })
  expect(lab.fake.machines('web')[0]?.made).toBe(2)
})

test.concurrent('a refused token and Fly’s own errors become problems with the request id', async () => {
  await using lab = await start()
  await using stranger = new MachinesApi({ baseUrl: lab.fake.url, token: 'wrong' })
  await expect(stranger.machines('web', signal)).rejects.toMatchObject({
    code: 'fly-denied',
    facts: { status: 401 },
  })

  const gone = lab.fly.withoutLease({ app: 'web', id: 'nothere' }).start(signal)
  const facts = {
    status: 404,
    fly: "machine not found, 'nothere'",
    requestId: expect.stringMatching(/^01/) as string,
  }
  await expect(gone).rejects.toMatchObject({ code: 'fly-refused', facts })
  await using nowhere = new MachinesApi({ baseUrl: 'http://127.0.0.1:1', token: 'secret' })
  await expect(nowhere.machines('web', signal)).rejects.toMatchObject({ code: 'fly-unavailable' })
}, 20_000)

test.concurrent('an answer that is no machine is refused, with its place', async () => {
  await using lab = await start()
  await lab.fly.createMachine('web', { name: 'a', region: 'fra', config }, signal)
  Object.assign(lab.fake.machines('web')[0]!, { config: { env: ['A'] } })
  await expect(lab.fly.machines('web', signal)).rejects.toMatchObject({
    code: 'fly-refused',
    message:
      'Fly gave an answer that the gateway cannot read (GET /apps/web/machines: 0 no machine).',
  })
})

test.concurrent('wait spans several windows until its time is up, and recognises a destroyed machine', async () => {
  await using lab = await start()
  const { id } = await lab.fly.createMachine('web', { name: 'a', region: 'fra', config }, signal)
  const ref = { app: 'web', id }
  expect(await lab.fly.wait(ref, { state: 'started', withinMs: 5000 }, signal)).toBe(true)
  expect(
    await lab.fly.wait(ref, { state: 'started', version: 'other', withinMs: 1000 }, signal),
  ).toBe(false)
  await lab.fly.withoutLease(ref).destroy(signal)
  expect(await lab.fly.wait(ref, { state: 'destroyed', withinMs: 1000 }, signal)).toBe(true)
})

test.concurrent(
  'a lease is renewed while it is held, excludes others, and is released',
  { timeout: 30_000 },
  async () => {
    await using lab = await start()
    const { id } = await lab.fly.createMachine('web', { name: 'a', region: 'fra', config }, signal)
    const ref = { app: 'web', id }
    const lease = await lab.fly.lease(ref, { description: 'test' }, signal)
    const before = lab.fake.machines('web')[0]?.lease?.endsAt ?? 0
    await expect(lab.fly.withoutLease(ref).stop(signal)).rejects.toMatchObject({
      facts: { status: 409 },
    })
    await expect
      .poll(() => lab.fake.machines('web')[0]?.lease?.endsAt, { timeout: 8000 })
      .toBeGreaterThan(before + 3000)

    const second = lab.fly.lease(ref, { description: 'test' }, signal)
    await lease[Symbol.asyncDispose]()
    await (await second)[Symbol.asyncDispose]()
    expect(lab.fake.machines('web')[0]?.lease).toBeNull()
  },
)

test.concurrent('a stolen lease ends the work under it', { timeout: 30_000 }, async () => {
  await using lab = await start()
  const { id } = await lab.fly.createMachine('web', { name: 'a', region: 'fra', config }, signal)
  await using lease = await lab.fly.lease({ app: 'web', id }, { description: 'test' }, signal)
  Object.assign(lab.fake.machines('web')[0] ?? {}, {
    lease: { nonce: 'thief', endsAt: Date.now() + 60_000 },
  })
  await expect.poll(() => lease.lost.aborted, { timeout: 8000 }).toBe(true)
  expect(lease.lost.reason).toMatchObject({ code: 'machine-leased' })
})
