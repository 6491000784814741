import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Fault, findFaults } from '../invariants.ts'
import { type Lab, startLab } from '../start-lab.ts'
import { Load } from './load.ts'
import { Random } from './random.ts'

const about =
  'kills a gateway at random moments under load, and checks the invariants after each kill: [--times 1000] [--seed N]'

async function run(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: {
      times: { type: 'string', default: '1000' },
      seed: { type: 'string', default: `${Date.now() % 1e6}` },
      port: { type: 'string', default: '8481' },
      dir: { type: 'string', default: '.lab-soak' },
    },
  })
  const { dir, port } = values
  await using lab = await startLab({
    dir,
    port: Number(port),
    fresh: true,
    settings: killSettings,
    say,
  })
  const plan = { times: Number(values.times), seed: Number(values.seed), say }
  return (await killAtRandom(lab, plan)).length === 0
}

const say = (line: string): void => console.log(line)
export const soakKill = { about, run }
/**
 * Short, so that a deployment takes a second or two. No deployment is to blame for the deaths here.
 */
export const killSettings = {
  TARMAC_WATCH: '0.2',
  TARMAC_MACHINE_TIMEOUT: '20',
  TARMAC_DRAIN: '0',
  TARMAC_MAX_DEATHS: '1000000',
}

/** After this many kills the load stops, and everything that was begun must end. */
const restEvery = 20

/** Kills the lab's gateway this many times. Returns the faults that it found. */
export async function killAtRandom(
  lab: Lab,
  { times, seed, say }: { times: number; seed: number; say: (line: string) => void },
): Promise<Fault[]> {
  say(`soak: seed ${seed}`)
  const random = new Random(seed, 'kills')
  const load = new Load(lab, seed)
  const found = new Map<string, Fault>()
  const logsSeen = new Set<string>()
  const look = async (idle: boolean) => {
    for (const fault of [
      ...(await findFaults(lab, load.promised, idle, logsSeen)),
      ...load.faults,
    ]) {
      if (!found.has(fault.what)) say(`${fault.kind.toUpperCase()}: ${fault.what}`)
      found.set(fault.what, fault)
    }
  }
  await load.prepare()
  const startedAt = performance.now()
  for (let kills = 1; kills <= times; kills++) {
    load.go()
    // Some gateways die during their start, in the recovery.
    const duringStart = random.fraction() < 0.3
    await sleep(duringStart ? 0 : 50 + random.upTo(2500 - 50))
    lab.kill('gateway')
    const started = lab.start('gateway').then(
      () => true,
      () => false,
    )
    if (duringStart) {
      await sleep(150 + random.upTo(1800 - 150))
      lab.kill('gateway')
      if (!(await started)) await lab.start('gateway')
    } else if (!(await started)) throw new Error('the gateway did not start')
    await look(false)
    if (kills % restEvery > 0 && kills < times) continue
    await load.rest()
    await look(true)
    const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1)
    say(
      `soak: ${kills} kills in ${minutes} min, ${load.promised.size} deployments (${load.ends()}), ${count(found)}`,
    )
  }
  await load.end()
  say(`${times} kills, ${count(found)}`)
  return [...found.values()]
}

const count = (found: Map<string, Fault>) =>
  (['lost', 'doubled', 'gaps', 'stray'] as const)
    .map((kind) => `${[...found.values()].filter((fault) => fault.kind === kind).length} ${kind}`)
    .join(', ')
