import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Lab, startLab } from '../lab/start-lab.ts'
import { deployFolder, readPage, scaleTo } from '../lab/use-lab.ts'
import type { Measure } from './measure.ts'
import { socketLine, socketServer, WebSockets } from './web-sockets.ts'

const about =
  "requests lost and WebSockets cut while two machines are deployed, through localfly's proxy: [--strategy NAME] [--rate 50] (requests a second) [--sockets 100]"
/** `immediate` takes both machines at once, for comparison. */
const strategies = ['rolling', 'canary', 'bluegreen', 'immediate']
const example = join(import.meta.dirname, '../examples/hello-node')
const settleMs = 1000

async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({
    args,
    options: {
      strategy: { type: 'string', multiple: true, default: strategies },
      rate: { type: 'string', default: '50' },
      sockets: { type: 'string', default: '100' },
      port: { type: 'string', default: '8451' },
      dir: { type: 'string', default: '.lab-bench' },
    },
  })
  const { dir, port } = values
  const settings = { TARMAC_WATCH: '2' }
  await using lab = await startLab({
    dir,
    port: Number(port),
    settings,
    say: (line) => console.log(line),
  })
  const source = await mkdtemp(join(tmpdir(), 'tarmac-bench-'))
  try {
    await cp(example, source, { recursive: true })
    const measures: Measure[] = []
    const load = { perSecond: Number(values.rate), sockets: Number(values.sockets) }
    for (const strategy of values.strategy)
      measures.push(await measure(lab, source, strategy, load))
    return measures
  } finally {
    await rm(source, { recursive: true })
  }
}

async function measure(
  lab: Lab,
  source: string,
  strategy: string,
  { perSecond, sockets }: { perSecond: number; sockets: number },
): Promise<Measure> {
  const app = `downtime-${strategy}`
  const deploy = async (greeting: string, options = {}) => {
    const server = await readFile(join(example, 'server.js'), 'utf8')
    await writeFile(
      join(source, 'server.js'),
      server.replace(/const greeting = .*/, `const greeting = '${greeting}'`) + socketServer,
    )
    const { state, problem } = await deployFolder(lab, app, source, options)
    if (state !== 'live')
      throw new Error(`${strategy}: the deployment is ${state}: ${problem?.detail}`)
  }
  await deploy('Hello from before')
  await scaleTo(lab, app, 2)
  const webSockets = await WebSockets.open(lab, app, sockets)
  const load = new Load(lab, app, perSecond)
  await sleep(settleMs)
  webSockets.start()
  await deploy('Hello from after', { strategy })
  await sleep(settleMs)
  const held = webSockets.end()
  const { sent, lost, slowestMs, versions } = await load.end()
  const kinds = [...lost].map(([what, count]) => `${count} x ${what}`).join(', ')
  const count = [...lost.values()].reduce((sum, each) => sum + each, 0)
  console.log(
    `\n${strategy}: ${sent} requests, ${count} lost${kinds && `: ${kinds}`}; slowest ${slowestMs} ms`,
  )
  console.log(`${strategy}: ${socketLine(held)}`)
  if (!versions.has('Hello from after'))
    throw new Error(`${strategy}: nothing was answered by the new version`)
  const goal = strategy === 'immediate' ? {} : { goal: 0 }
  const proxy = "localfly's (a stand-in)"
  const facts = {
    bench: 'downtime',
    strategy,
    machines: 2,
    perSecond,
    sent,
    lost: count,
    slowestMs,
    sockets: held,
    proxy,
  }
  return {
    ...facts,
    ratio: count / sent,
    goal: 1,
    ...goal,
    ok: strategy === 'immediate' || count === 0,
  }
}

/** Sends this many requests per second over kept connections, whatever their results. */
class Load {
  readonly #agent = new Agent({ keepAlive: true })
  readonly #open = new Set<Promise<void>>()
  readonly #timer: NodeJS.Timeout
  readonly #seen = {
    sent: 0,
    slowestMs: 0,
    lost: new Map<string, number>(),
    versions: new Set<string>(),
  }

  constructor(lab: Lab, app: string, perSecond: number) {
    this.#timer = setInterval(() => {
      const request = this.#request(lab, app).finally(() => this.#open.delete(request))
      this.#open.add(request)
    }, 1000 / perSecond)
  }

  async #request(lab: Lab, app: string): Promise<void> {
    this.#seen.sent++
    const sentAt = performance.now()
    const outcome = await readPage(lab, app, { agent: this.#agent, timeoutMs: 30_000 }).then(
      ({ status, body }) =>
        status === 200
          ? this.#answered(body)
          : `${status} ${body
              .replaceAll(/[0-9a-f]{14}/g, '…')
              .slice(0, 80)
              .trim()}`,
      (error: Error) => String(error),
    )
    this.#seen.slowestMs = Math.max(this.#seen.slowestMs, Math.round(performance.now() - sentAt))
    if (outcome !== null) this.#seen.lost.set(outcome, (this.#seen.lost.get(outcome) ?? 0) + 1)
  }

  #answered(body: string): null {
    this.#seen.versions.add(body.split('\n')[0]!)
    return null
  }

  async end() {
    clearInterval(this.#timer)
    await Promise.all(this.#open)
    this.#agent.destroy()
    return this.#seen
  }
}

export const downtime = { about, run }
