import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { MadeToken } from '../api/callers/token.ts'
import { fill, routes } from '../api/routes.ts'
import { type Lab, startLab } from '../lab/start-lab.ts'
import type { ReadOrder, ReadTimes } from './callers-process.ts'
import type { Measure } from './measure.ts'

const about =
  'reads by the callers of thousands of tokens, beside one token of the setting: [--tokens 10000] [--rate 1000] [--seconds 60]'
const options = {
  tokens: { type: 'string', default: '10000' },
  rate: { type: 'string', default: '1000' },
  seconds: { type: 'string', default: '60' },
  port: { type: 'string', default: '8451' },
  dir: { type: 'string', default: '.lab-bench' },
} as const
const goal = 1.05
/** A slower median means that reads wait in a queue, which hides what authorization costs. */
const mostP50Ms = 20
const app = 'bench-callers'
const warmUpSeconds = 5
/** For the CPU time of a request: so many turns of each kind, so long. */
const turns = 8
const turnSeconds = 2

/**
 * Reads at a fixed rate, whether or not earlier answers have come. Each second read is by the one
 * token in `TARMAC_TOKENS`, the others by random ones of the stored tokens, so that whatever else
 * happens on this machine slows both alike. The ratio is that of the 99th percentiles. Then both
 * kinds take turns, for the CPU time that a read costs the gateway: other programs change it least.
 */
async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({ args, options })
  const [count, rate, seconds] = [values.tokens, values.rate, values.seconds].map(Number) as [
    number,
    number,
    number,
  ]
  await using lab = await startLab({
    dir: values.dir,
    port: Number(values.port),
    fresh: true,
    say: (line) => console.log(line),
  })
  const begun = performance.now()
  const many = await makeTokens(lab, count)
  console.log(`  ${count} tokens in ${((performance.now() - begun) / 1000).toFixed(0)} s`)

  const port = Number(new URL(lab.gateway).port)
  const order = { port, path: fill(routes.deployments, { app }), rate }
  using generator = startGenerator()
  await generator.ask({ port })
  const read = async (more: Pick<ReadOrder, 'seconds' | 'tokens'>) =>
    (await generator.ask({ ...order, ...more })) as ReadTimes

  const one = [lab.token]
  await read({ seconds: warmUpSeconds, tokens: { one, many } })
  const both = await read({ seconds, tokens: { one, many } })
  const costs = { one: [] as number[], many: [] as number[] }
  for (let turn = 0; turn < turns; turn++)
    for (const [kind, tokens] of [
      ['one', { one }],
      ['many', { many }],
    ] as const) {
      const before = await cpuMs(lab)
      const turnTimes = await read({ seconds: turnSeconds, tokens })
      costs[kind].push(((await cpuMs(lab)) - before) / turnTimes[kind].length)
      both.failures.push(...turnTimes.failures)
    }
  return [measureOf(both, costs, { tokens: count, readsPerSecond: rate })]
}

function measureOf(
  both: ReadTimes,
  costs: { one: number[]; many: number[] },
  plan: { tokens: number; readsPerSecond: number },
): Measure {
  const sorted = (times: number[]) => times.toSorted((a, b) => a - b)
  const [one, many] = [sorted(both.one), sorted(both.many)]
  const ratio = rounded(at(many, 0.99) / at(one, 0.99))
  const cpu = { one: at(sorted(costs.one), 0.5), many: at(sorted(costs.many), 0.5) }
  const { failures, sentPerSecond } = both
  const facts = {
    ...plan,
    sentPerSecond,
    reads: one.length + many.length,
    oneP50Ms: at(one, 0.5),
    manyP50Ms: at(many, 0.5),
    oneP99Ms: at(one, 0.99),
    manyP99Ms: at(many, 0.99),
    oneCpuMs: cpu.one,
    manyCpuMs: cpu.many,
    cpuRatio: rounded(cpu.many / cpu.one),
    failures: failures.length,
  }
  if (failures.length > 0) console.log(`  first failure: ${failures[0]}`)
  const keptUp = facts.oneP50Ms <= mostP50Ms && sentPerSecond >= plan.readsPerSecond * 0.98
  if (!keptUp) console.log('  the gateway did not keep up with this rate: the ratio says nothing')
  const ok = keptUp && ratio <= goal && failures.length === 0
  return { bench: 'callers', ratio, goal, ok, ...facts, keptUp }
}

/** A process that answers each order with one message. */
function startGenerator() {
  const child: ChildProcess = fork(join(import.meta.dirname, 'callers-process.ts'))
  const died = once(child, 'exit').then(() => Promise.reject(new Error('the generator died')))
  died.catch(() => {})
  return {
    async ask(order: object): Promise<unknown> {
      const answer = Promise.race([once(child, 'message'), died])
      child.send(order)
      return (await answer)[0]
    },
    [Symbol.dispose]: () => void child.kill(),
  }
}

/** The CPU time of the gateway up to now. */
async function cpuMs({ gatewayProcess: { pid } }: Lab): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

async function makeTokens(lab: Lab, count: number): Promise<string[]> {
  const made: string[] = []
  let next = 0
  const maker = async () => {
    for (let n = next++; n < count; n = next++) {
      const response = await fetch(lab.gateway + routes.tokens, {
        method: 'POST',
        headers: { authorization: `Bearer ${lab.token}` },
        body: JSON.stringify({ name: `caller-${n}`, scopes: ['read'], apps: [app] }),
      })
      if (response.status !== 201) throw new Error(await response.text())
      made.push(((await response.json()) as MadeToken).token)
    }
  }
  await Promise.all(Array.from({ length: 16 }, maker))
  return made
}

const rounded = (value: number): number => Math.round(value * 1000) / 1000
const at = (sorted: number[], share: number): number =>
  rounded(sorted[Math.floor((sorted.length - 1) * share)]!)

export const callers = { about, run }
