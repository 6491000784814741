import { expect, test } from 'vitest'
import { fetchTransport, type Transport } from '#fly/transport.ts'
import { destroyBuilder } from '../../../client/src/up/builder/destroy-builder.ts'
import { openFly } from '../../../client/src/up/fly-parts.ts'
import { startFly, token, up, type TestFly } from './start-fly.ts'

/**
 * A client that is killed at its `at`-th call, before Fly has it or after Fly has done it. It makes
 * no call afterwards. `calls` says what it asked for.
 */
type When = 'before' | 'after'
function killedAt(at: number, when: When) {
  const real = fetchTransport()
  const calls: string[] = []
  const killed = Promise.withResolvers<'killed'>()
  const never = new Promise<never>(() => {})
  const transport: Transport = {
    async send(request, signal) {
      if (calls.length >= at) return never
      calls.push(`${request.method} ${new URL(request.url).pathname}`)
      if (calls.length < at) return real.send(request, signal)
      if (when === 'after') await real.send(request, signal).catch(() => {})
      killed.resolve('killed')
      return never
    },
    [Symbol.asyncDispose]: async () => {},
  }
  return { calls, transport, killed: killed.promise }
}

async function down(fly: TestFly, transport = fetchTransport(), deleteVolume = true) {
  const open = { report: () => {}, signal: AbortSignal.timeout(200_000) }
  const parts = openFly({ env: fly.env, token, transport }, open)
  return destroyBuilder(parts, { org: 'personal', app: null, network: null, deleteVolume })
}

const whole = {
  apps: ['tarmac-personal: 1 addresses'],
  volumes: ['fra 50 GB'],
  machines: ['tarmac-builder started fra'],
}
const nothing = { apps: [], volumes: [], machines: [] }

/** The calls of a run that nobody kills. */
async function callsOf(run: (transport: Transport) => Promise<unknown>): Promise<number> {
  const { calls, transport } = killedAt(Infinity, 'before')
  await run(transport)
  return calls.length
}

const both = ['before', 'after'] as const

/** Kills the run at each of its calls. `check` runs the command again. */
async function atEveryCall(
  { count, whens = () => both }: { count: number; whens?: (at: number) => readonly When[] },
  prepare: (fly: TestFly) => Promise<unknown>,
  run: (fly: TestFly, transport: Transport) => Promise<unknown>,
  check: (fly: TestFly) => Promise<unknown>,
): Promise<void> {
  const rows = Array.from({ length: count }, (_, index) =>
    whens(index + 1).map((when) => ({ at: index + 1, when })),
  ).flat()
  await Promise.all(
    rows.map(async ({ at, when }) => {
      await using fly = await startFly()
      await prepare(fly)
      const { transport, killed, calls } = killedAt(at, when)
      // The last calls may be fewer in this run: it ends then.
      await Promise.race([killed, run(fly, transport)])
      await check(fly).catch((cause: unknown) => {
        throw new Error(`killed ${when} call ${at} (${calls.at(-1)})`, { cause })
      })
      expect(fly.breaches).toEqual([])
    }),
  )
}

test('up, killed at any call, ends right when it runs again: nothing stray, nothing lost', async () => {
  await using fly = await startFly()
  const count = await callsOf((transport) => up(fly, {}, transport))
  expect(count).toBeGreaterThan(15)

  await atEveryCall(
    { count },
    async () => {},
    (each, transport) => up(each, {}, transport),
    async (each) => {
      await up(each)
      expect(each.inventory()).toEqual(whole)
    },
  )
}, 240_000)

test('down, killed at any call, ends right when it runs again', async () => {
  await using fly = await startFly()
  await up(fly)
  const count = await callsOf((transport) => down(fly, transport))
  expect(fly.inventory()).toEqual(nothing)

  await atEveryCall(
    { count },
    (each) => up(each),
    (each, transport) => down(each, transport),
    async (each) => {
      await down(each)
      expect(each.inventory()).toEqual(nothing)
    },
  )
}, 240_000)

test('an update, killed at any call, ends right when it runs again', async () => {
  const larger = { env: { TARMAC_LOG_LEVEL: 'debug' }, volumeGb: 60 }
  await using fly = await startFly()
  await up(fly)
  const count = await callsOf((transport) => up(fly, larger, transport))

  // A killed client's lease blocks the next one until it expires, so only one of the two moments.
  const whens = (at: number) => [both[at % 2]!]
  await atEveryCall(
    { count, whens },
    (each) => up(each),
    (each, transport) => up(each, larger, transport),
    async (each) => {
      await up(each, larger)
      expect(each.inventory()).toEqual({ ...whole, volumes: ['fra 60 GB'] })
      const [machine] = each.state.machinesOf('tarmac-personal')
      expect(machine!.config.env).toMatchObject(larger.env)
    },
  )
}, 240_000)
