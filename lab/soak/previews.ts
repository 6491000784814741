import { setTimeout as sleep } from 'node:timers/promises'
import { killAtRandom, randomFaults } from './previews/disturb.ts'
import { Judge, patience, slackMs } from './previews/judge.ts'
import { type Facts, Load, newFacts } from './previews/load.ts'
import { removePools, setPools } from './previews/pools.ts'
import { limits, mostSeconds, startWorld, sweepMs, type World } from './previews/world.ts'
import { Random } from './random.ts'
import { readNumbers } from './read-numbers.ts'

const about =
  'makes, extends, visits and destroys previews on an offline Fly without containers, with faults of its API, other programs and kills of the gateways; finds what outlives its end, what nobody knows and what exceeds a limit: [--times 1000] [--gateways 4] [--seed N]'

type Plan = {
  /** Previews to make. */
  times: number
  gateways: number
  seed: number
  /** The first of the ports that may be free. */
  port: number
  say: (line: string) => void
}

async function run(args: string[]): Promise<boolean> {
  const plan = readNumbers(args, { times: 1000, gateways: 4, port: 8491 })
  return (await previewAtRandom({ ...plan, say: console.log })).length === 0
}

export const soakPreviews = { about, run }

const askers = 3
const thinkMs = 3000
const lookMs = 500
const killMeanMs = 30_000

/** Returns what was wrong. Fly allows one new app per second, so several gateways share the work. */
export async function previewAtRandom(plan: Plan): Promise<string[]> {
  const { seed, say } = plan
  say(`soak: seed ${seed}`)
  const startedAt = performance.now()
  await using world = await startWorld(plan)
  const facts = newFacts()
  await setPools(world)
  const load = new Load(world, facts)
  const judge = new Judge(world, facts)
  const reported = new Set<string>()
  const report = () => {
    for (const fault of facts.faults) {
      if (reported.has(fault)) continue
      say([`FAULT ${fault}`, ...(facts.evidence.get(fault) ?? [])].join('\n  '))
      reported.add(fault)
    }
  }

  const stop = new AbortController()
  const others = disturb(world, { plan, judge, report, signal: stop.signal })
  await makeAll(world, { plan, load, facts })
  stop.abort()
  await others
  world.fly.be({ faults: [] })
  await removePools(world)
  await rest(world, judge)
  await judge.end()
  for (const gateway of world.gateways)
    for (const death of gateway.deaths)
      facts.faults.add(`WRONG: a gateway ended by itself: ${death}`)
  for (const breach of world.fly.breaches) facts.faults.add(`WRONG: localfly: ${breach}`)
  report()
  const counts = [...facts.counts].map(([what, n]) => `${what} ${n}`)
  say(`soak: ${counts.toSorted().join(', ')}`)
  const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1)
  const kills = world.gateways.reduce((sum, gateway) => sum + gateway.kills, 0)
  const { owner, team, all } = judge.most
  say(
    `soak: seed ${seed}, ${minutes} min: ${facts.known.size} previews of ${plan.gateways} gateways, ${kills} kills, ${judge.looks} looks; most with a machine at once: ${owner} of an owner (limit ${limits.owner}, ${2 * limits.owner} with evict), ${team} of a team (${limits.team}), ${all} of a gateway (${limits.all}); slack ${slackMs / 1000} s beside a sweep of ${sweepMs / 1000} s; ${facts.faults.size} faults`,
  )
  return [...facts.faults]
}

async function makeAll(
  { gateways }: World,
  { plan, load, facts }: { plan: Plan; load: Load; facts: Facts },
): Promise<void> {
  const asker = async (at: number) => {
    const random = new Random(plan.seed, 'asker', at)
    const gateway = gateways[at % gateways.length]!
    while (facts.known.size < plan.times) {
      await gateway.up
      await load.act(gateway, random)
      await sleep(random.upTo(thinkMs))
    }
  }
  await Promise.all(Array.from({ length: askers * gateways.length }, (_, at) => asker(at)))
}

/** Kills, faults and looks, until the signal. */
async function disturb(
  world: World,
  {
    plan,
    judge,
    report,
    signal,
  }: { plan: Plan; judge: Judge; report: () => void; signal: AbortSignal },
): Promise<void> {
  const random = new Random(plan.seed, 'others')
  const kills = world.gateways.map((gateway, at) =>
    killAtRandom(gateway, {
      random: new Random(plan.seed, 'kills', at),
      signal,
      meanMs: killMeanMs,
    }),
  )
  const faults = async () => {
    while (!signal.aborted) {
      world.fly.be(randomFaults(random))
      await sleep(2000 + random.upTo(4000), undefined, { signal }).catch(() => {})
    }
  }
  const looks = async () => {
    while (!signal.aborted) {
      await judge.look()
      report()
      await sleep(lookMs)
    }
  }
  await Promise.all([...kills, faults(), looks()])
}

/** Until the longest life of a preview is over, and one sweep after it. */
async function rest({ gateways, fly }: World, judge: Judge): Promise<void> {
  const until = Date.now() + mostSeconds * 1000 + patience.ms
  const last = judge.looks + 2 * patience.looks
  while (Date.now() < until || judge.looks < last) {
    await Promise.all(gateways.map((gateway) => gateway.up))
    await judge.look()
    const counts = await Promise.all(
      gateways.map(async (gateway) => (await gateway.call('GET', '/v1/status')).body),
    )
    const isOver = counts.every((body) => isEmpty(body))
    if (isOver && fly.state.apps.size === 0) return
    await sleep(lookMs)
  }
}

function isEmpty(status: unknown): boolean {
  const { previews } = Object(status) as { previews?: { states: Record<string, number> } }
  return previews !== undefined && Object.keys(previews.states).length === 0
}
