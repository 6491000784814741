import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { MadeToken } from '../api/callers/token.ts'
import { fill, routes } from '../api/routes.ts'
import { type Lab, startLab } from '../lab/start-lab.ts'
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
const app = 'bench-callers'
const warmUpMs = 5000

/**
 * Reads at a fixed rate, whether or not earlier answers have come. Each second read is by the one
 * token in `TARMAC_TOKENS`, the others by random ones of the stored tokens, so that whatever else
 * happens on this machine slows both alike. The ratio is that of the 99th percentiles.
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
  const tokens = await makeTokens(lab, count)
  console.log(`  ${count} tokens in ${((performance.now() - begun) / 1000).toFixed(0)} s`)

  const times = { one: [] as number[], many: [] as number[] }
  const agent = new Agent({ keepAlive: true, maxSockets: 200 })
  const failures: string[] = []
  const open = new Set<Promise<void>>()
  const start = performance.now()
  const total = Math.round(rate * (seconds + warmUpMs / 1000))
  for (let sent = 0; sent < total;) {
    for (const due = ((performance.now() - start) / 1000) * rate; sent < due; sent++) {
      const who = sent % 2 === 0 ? 'one' : 'many'
      const token = who === 'one' ? lab.token : tokens[Math.floor(Math.random() * tokens.length)]!
      const isMeasured = performance.now() - start > warmUpMs
      const reading: Promise<void> = read(lab, agent, token)
        .then(
          (ms) => void (isMeasured && times[who].push(ms)),
          (error: unknown) => void failures.push(String(error)),
        )
        .finally(() => open.delete(reading))
      open.add(reading)
    }
    await sleep(1)
  }
  await Promise.all(open)
  agent.destroy()

  const [one, many] = [times.one, times.many].map((each) => each.toSorted((a, b) => a - b)) as [
    number[],
    number[],
  ]
  const ratio = Math.round((at(many, 0.99) / at(one, 0.99)) * 1000) / 1000
  const facts = {
    tokens: count,
    readsPerSecond: rate,
    reads: one.length + many.length,
    oneP50Ms: at(one, 0.5),
    manyP50Ms: at(many, 0.5),
    oneP99Ms: at(one, 0.99),
    manyP99Ms: at(many, 0.99),
    failures: failures.length,
  }
  if (failures.length > 0) console.log(`  first failure: ${failures[0]}`)
  return [{ bench: 'callers', ratio, goal, ok: ratio <= goal && failures.length === 0, ...facts }]
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

/** The time of one read, in milliseconds. */
function read(lab: Lab, agent: Agent, token: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const begun = performance.now()
  const asked = request(lab.gateway + fill(routes.deployments, { app }), {
    agent,
    headers: { authorization: `Bearer ${token}` },
  })
  asked.once('error', reject).once('response', (response) => {
    if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`))
    response.resume().once('end', () => resolve(performance.now() - begun))
  })
  asked.end()
  return promise
}

const at = (sorted: number[], share: number): number =>
  Math.round(sorted[Math.floor((sorted.length - 1) * share)]! * 1000) / 1000

export const callers = { about, run }
