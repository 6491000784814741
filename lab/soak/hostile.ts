import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Lab, startLab } from '../start-lab.ts'
import { kinds } from './hostile/attacks.ts'
import { type Latency, measureLatency } from './hostile/latency.ts'
import { HostileLoad } from './hostile/load.ts'
import { sampleMemory } from './hostile/memory.ts'

const about =
  'all kinds of hostile input at once, beside honest deployments that must not suffer: [--minutes 5] [--seed N] [--kind NAME]'

const goal = { p99Ratio: 2, memoryGrowth: 1.15 }
const honestSenders = 2

async function run(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: 'string', default: '5' },
      seed: { type: 'string', default: `${Date.now() % 1e6}` },
      kind: { type: 'string', multiple: true, default: kinds.map(({ name }) => name) },
      port: { type: 'string', default: '8501' },
      dir: { type: 'string', default: '.lab-soak' },
    },
  })
  const { dir, port } = values
  await using lab = await startLab({
    dir,
    port: Number(port),
    fresh: true,
    settings: hostileSettings,
    say,
  })
  const plan = {
    minutes: Number(values.minutes),
    seed: Number(values.seed),
    only: values.kind,
    say,
  }
  const { wrong, slow, summary } = await attack(lab, plan)
  for (const line of [...wrong, ...slow]) say(`WRONG: ${line}`)
  say(summary)
  return wrong.length + slow.length === 0
}

const say = (line: string): void => console.log(line)
export const soakHostile = { about, run }
/** Short, so that an honest deployment takes a few seconds. */
export const hostileSettings = { TARMAC_WATCH: '0.5', TARMAC_MAX_BUILDS: '3' }

type Plan = { minutes: number; seed: number; only?: string[]; say: (line: string) => void }
type Found = {
  /** Faults that must not happen on any machine. */
  wrong: string[]
  /** Results that were slower or larger than allowed. They apply to a quiet machine. */
  slow: string[]
  summary: string
}

/** Attacks the lab's gateway for this long, beside honest deployments. */
export async function attack(lab: Lab, { minutes, seed, only, say }: Plan): Promise<Found> {
  say(`soak: seed ${seed}`)
  const died = new AbortController()
  const over = AbortSignal.any([AbortSignal.timeout(minutes * 60_000), died.signal])
  const { pid, exited } = lab.gatewayProcess
  void exited.then(() => died.abort())

  const load = new HostileLoad(lab, seed, over)
  const measuring = Promise.all([measureLatency(lab.gateway, over), sampleMemory(pid, over)])
  await Promise.all([
    ...kinds
      .filter(({ name }) => only?.includes(name) ?? true)
      .flatMap((kind) =>
        Array.from({ length: kind.atOnce }, (_, number) => load.attack(kind, number)),
      ),
    ...Array.from({ length: honestSenders }, (_, number) => load.deploy(number)),
  ])
  const [times, memory] = await measuring

  const deaths = died.signal.aborted ? 1 : 0
  const wrong = [...load.wrong, ...internalErrors(lab.dir)]
  if (deaths > 0) wrong.push('the gateway died')
  if (times.unanswered > 0)
    wrong.push(`${times.unanswered} calls of /healthz were not answered with 200`)
  const slow: string[] = []
  if (!(times.ratio <= goal.p99Ratio))
    slow.push(`p99 of /healthz is ${times.ratio} times that of an idle server`)
  if (!(memory.growth <= goal.memoryGrowth))
    slow.push(`the gateway's memory grew ${memory.growth} times`)
  for (const line of load.lines()) say(line)
  const summary = `${load.counts}: ${deaths} deaths, ${wrong.length} wrong; ${inWords(times)}; memory ${memory.text}`
  return { wrong, slow, summary }
}

const inWords = ({ gatewayMs, idleMs, ratio }: Latency): string =>
  `p99 of /healthz ${gatewayMs} ms, of an idle server ${idleMs} ms (median ratio ${ratio})`

/** Unexpected errors in the gateway's own log, each message once. */
function internalErrors(dir: string): string[] {
  const lines = readFileSync(join(dir, 'gateway.log'), 'utf8').split('\n')
  const bad = lines.filter((line) => /"code":"internal"|"level":(50|60)|^\S*Error:/.test(line))
  const changing = /"(time|ms|pid|requestId|deploymentId)":("[^"]*"|\d+),?/g
  return [
    ...new Set(
      bad.map((line) => `in the gateway's log: ${line.replaceAll(changing, '').slice(0, 400)}`),
    ),
  ]
}
