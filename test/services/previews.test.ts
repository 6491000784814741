import { expect, test } from 'vitest'
import type { Preview } from '#api/previews/preview.ts'
import { previewAtRandom } from '../../lab/soak/previews.ts'
import { Judge } from '../../lab/soak/previews/judge.ts'
import { Load, markIn, newFacts } from '../../lab/soak/previews/load.ts'
import { PoolOracle } from '../../lab/soak/previews/pool-oracle.ts'
import { setPools } from '../../lab/soak/previews/pools.ts'
import { closed, previewIdIn, startWorld } from '../../lab/soak/previews/world.ts'
import { amount } from '../long.ts'

test(
  'previews end in time, within their limits, and leave nothing, while Fly and other programs interfere and gateways are killed',
  { timeout: amount(240_000, 1_800_000) },
  async () => {
    const lines: string[] = []
    const faults = await previewAtRandom({
      times: amount(20, 1000),
      gateways: amount(2, 4),
      seed: Number(process.env['TARMAC_SEED'] ?? Date.now() % 1e6),
      port: 9651,
      say: (line) => void lines.push(line),
    })
    expect(faults, lines.join('\n')).toEqual([])
  },
)

test('the soak’s checks detect what is planted, and nothing else', async () => {
  await using world = await startWorld({ gateways: 1, port: 9661 })
  const gateway = world.gateways[0]!
  const { state } = world.fly
  const { apps, machines } = state
  const facts = newFacts()
  const load = new Load(world, facts)
  const source = { image: `${world.registry}/library/alpine:latest` }
  const make = async (owner: string, more: object = {}): Promise<Preview> => {
    const request = { app: 'shop', owner, source, ...more }
    const { body } = await gateway.call('POST', '/v1/previews?wait=true', request)
    return load.learn(gateway, body)
  }
  /** Gives the gateway no time to mend what is wrong. */
  const impatient = () => new Judge(world, facts, { ms: 0, looks: 0 })
  /** The faults that a judge sees now. */
  const found = async (judge = impatient()): Promise<string> => {
    facts.faults.clear()
    await judge.look()
    return [...facts.faults].join('\n')
  }

  await setPools(world)
  const [ada, bob, gone] = [
    await make('ada', { template: closed.name }),
    await make('bob'),
    await make('carol'),
  ]
  await expect
    .poll(async () => (await gateway.call('GET', '/v1/pools')).body, { timeout: 30_000 })
    .toMatchObject({ pools: [{ ready: 2, warming: 0 }] })
  expect(await found()).toBe('')

  // An app that no record knows. Whether a killed gateway knows it, nobody can say.
  const mark = markIn(ada.id)
  const stray = `shop-${mark}00000000`
  apps.set(stray, { ...apps.get(ada.flyApp)!, name: stray })
  expect(await found()).toBe(`UNKNOWN: ${stray}: no record knows it`)
  expect([...facts.evidence.values()].flat().join('\n')).toContain('"deployments":[]')
  apps.delete(stray)

  // An entry of the pool that a request had.
  const entry = [...apps.keys()].find((name) => {
    const id = previewIdIn(name)
    return id !== null && !facts.known.has(id)
  })!
  const entryId = previewIdIn(entry)!
  facts.known.set(entryId, facts.known.get(ada.id)!)
  expect(await found()).toBe(`WRONG: ${entry} waits in a pool, and a request had taken it`)
  facts.known.delete(entryId)

  // Policies: none, one twice, one more port.
  const app = apps.get(ada.flyApp)!
  const policies = app.policies!
  app.policies = []
  expect(await found()).toMatch(/^OPEN: .* may reach “everything”$/)
  app.policies = [...policies, ...policies]
  expect(await found()).toBe('')
  const [rule] = policies[0]!.rules
  const wider = { ...rule!, ports: [{ protocol: 'tcp' as const, port: 25 }] }
  app.policies = [...policies, { ...policies[0]!, rules: [wider] }]
  expect(await found()).toMatch(/^OPEN: .* may reach “tcp 25,tcp 443”$/)
  app.policies = policies

  // A machine that does not run: the next request starts it, or not.
  const machine = state.machinesOf(bob.flyApp)[0]!
  const [service] = machine.config.services!
  machine.state = 'stopped'
  expect(await found()).toBe('')
  service!.autostart = false
  expect(await found()).toBe(`READY WITHOUT A MACHINE: ${bob.id} is ready, its machine stopped`)
  service!.autostart = true
  machine.cordoned = true
  expect(await found()).toMatch(/^READY WITHOUT A MACHINE: [^\n]*$/)
  Object.assign(machine, { state: 'started', cordoned: false })
  expect(await found()).toBe('')

  // Machines beyond the limits of an owner, the team and the gateway.
  const plant = (count: number, owner: (n: number) => string): (() => void) => {
    const ids = Array.from({ length: count }, (_, n) => `planted${n}`)
    for (const [n, id] of ids.entries()) {
      const of = { ...machine.own, app: `shop-${mark}0000${1000 + n}` }
      const metadata = { ...machine.config.metadata, tarmac_preview_owner: owner(n) }
      machines.set(id, { ...machine, id, config: { ...machine.config, metadata }, own: of })
    }
    return () => ids.forEach((id) => machines.delete(id))
  }
  for (const [count, owner, fault] of [
    [2, () => 'bob', null],
    [3, () => 'bob', `owner ${mark} shop bob: Fly has 4`],
    [5, (n) => `x${n}`, null],
    [6, (n) => `x${n}`, `team ${mark} default: Fly has 9`],
    [10, (n) => `x${n}`, `all ${mark}: Fly has 13`],
  ] as [number, (n: number) => string, string | null][]) {
    const remove = plant(count, owner)
    const faults = await found()
    if (fault === null) expect(faults).toBe('')
    else expect(faults).toContain(`OVER A LIMIT: ${fault}`)
    remove()
  }

  // A machine that becomes another owner's.
  const judge = impatient()
  await found(judge)
  const before = machine.config.metadata
  machine.config.metadata = { ...before, tarmac_preview_owner: 'eve' }
  expect(await found(judge)).toMatch(/^TWO OWNERS: machine \S+ of \S+ was bob's, and is eve's$/)
  machine.config.metadata = before!

  // What is there after its end.
  const left = apps.get(gone.flyApp)!
  await gateway.call('DELETE', `/v1/previews/${gone.id}`)
  await expect.poll(() => apps.has(gone.flyApp), { timeout: 20_000 }).toBe(false)
  const read = () => gateway.call('GET', `/v1/previews/${gone.id}`)
  await expect.poll(read, { timeout: 20_000 }).toMatchObject({ body: { state: 'destroyed' } })
  apps.set(gone.flyApp, left)
  expect(await found()).toMatch(/^ALIVE AFTER ITS END: [^\n]*: destroyed since/)
  apps.delete(gone.flyApp)
  facts.faults.clear()
  await judge.end()
  expect([...facts.faults]).toContain(`WRONG: ${ada.id}: is ready at the end`)
  expect([...facts.faults].join()).toContain(`ended as asked, and nobody asked`)

  // The answer is cut before the process is seen to end.
  const { upSince } = gateway
  const asked = new PoolOracle(world, facts).isEntry(gateway, { id: entryId, name: entry })
  gateway.kill()
  expect([await asked, gateway.upSince]).toEqual([null, upSince])
}, 120_000)
