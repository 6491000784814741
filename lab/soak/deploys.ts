import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Deployment } from '#api/deployment.ts'
import type { Hostility } from '../localfly/hostile.ts'
import { type Lab, startLab } from '../start-lab.ts'
import { deployFolder, destroyMachines, quicklyChecked, scaleTo } from '../use-lab.ts'
import { Random } from './random.ts'
import { type Served, Truth } from './truth.ts'

const about =
  'random apps, sizes, strategies and faults; compares every verdict with what really runs: [--times 500] [--apps 4] [--seed N] [--strategy NAME]'

/** Timeouts that are long enough for an honest machine of the soak, and no longer. */
export const soakSettings = { TARMAC_WATCH: '1', TARMAC_MACHINE_TIMEOUT: '15', TARMAC_DRAIN: '0' }
export const allStrategies = ['rolling', 'canary', 'bluegreen', 'immediate']

async function run(args: string[]): Promise<boolean> {
  const { values } = parseArgs({
    args,
    options: {
      times: { type: 'string', default: '500' },
      apps: { type: 'string', default: '4' },
      seed: { type: 'string', default: `${Date.now() % 1e6}` },
      strategy: { type: 'string', multiple: true, default: allStrategies },
      port: { type: 'string', default: '8461' },
      dir: { type: 'string', default: '.lab-soak' },
    },
  })
  const { dir, port, strategy: strategies } = values
  await using lab = await startLab({
    dir,
    port: Number(port),
    fresh: true,
    settings: soakSettings,
    say,
  })
  const [seed, times, apps] = [Number(values.seed), Number(values.times), Number(values.apps)]
  const { untrue, ends } = await deployAtRandom(lab, { seed, times, apps, strategies, say })
  for (const line of untrue) console.error(`untrue: ${line}`)
  const seen = Object.entries(ends).map(([end, count]) => `${count} ${end}`)
  console.log(
    `soak: seed ${seed}, ${times} deployments: ${seen.join(', ')}; ${untrue.length} untrue`,
  )
  return untrue.length === 0
}

const say = (line: string): void => console.log(line)

export const soakDeploys = { about, run }

type Plan = {
  seed: number
  times: number
  apps: number
  strategies: string[]
  say: (line: string) => void
}

/**
 * Runs apps in parallel, each with a sequence of deployments. `untrue` lists every difference from
 * the record.
 */
export async function deployAtRandom(
  lab: Lab,
  plan: Plan,
): Promise<{ untrue: string[]; ends: Record<string, number> }> {
  plan.say(`soak: seed ${plan.seed}`)
  const untrue: string[] = []
  const ends: Record<string, number> = {}
  const truth = new Truth(lab)
  let left = plan.times
  const live = async (name: string) => {
    const app = new SoakApp(lab, truth, name, new Random(plan.seed, name), plan.strategies)
    for (let n = 1; left-- > 0; n++) {
      const { deployment, what, wrong } = await app.next(n)
      const end = deployment.problem?.code ?? deployment.state
      ends[end] = (ends[end] ?? 0) + 1
      plan.say(
        `${name} ${n}: ${what}: ${end}${end === 'rollback-failed' ? `: ${deployment.problem?.detail}` : ''}`,
      )
      for (const each of wrong)
        plan.say(`UNTRUE: ${each} (deployment ${deployment.id}: ${deployment.problem?.detail})`)
      untrue.push(...wrong.map((each) => `${name} ${n}, ${what}: ${each}`))
    }
  }
  await Promise.all(Array.from({ length: plan.apps }, (_, at) => live(`soak-${at + 1}`)))
  untrue.push(...(await truth.strays()))
  return { untrue, ends }
}

/** The behaviours of a version. Only a good one may become live. */
const natures = {
  good: 'httpd -f -p 8080 -h /www',
  'ends at once': 'exit 3',
  'crashes after its start': 'httpd -p 8080 -h /www; sleep 1.2; exit 4',
  'listens elsewhere': 'httpd -f -p 9090 -h /www',
  'fails its check': 'rm /www/health; httpd -f -p 8080 -h /www',
} as const
type Nature = keyof typeof natures

const unseen = 'machines that appear late'
type Faults = NonNullable<Hostility['faults']>
/** Fly's faults meanwhile, worst case by case. Null means none. */
const weathers: Record<string, ((random: Random) => Faults) | null> = {
  'a good day': null,
  'API faults': (random) => {
    const kinds = [
      'rate-limit',
      'error-before',
      'error-after',
      'edge',
      'cut-before',
      'cut',
      'cut-midway',
    ] as const
    const rate = (0.1 + 0.2 * random.fraction()) / kinds.length
    return [...kinds.map((fault) => ({ fault, rate })), { fault: 'slow', rate: 0.05, ms: 500 }]
  },
  'a silent revert': (random) => [{ fault: 'reverts', times: 1, skip: random.upTo(1) }],
  'a failing pull': (random) => [{ fault: 'pull-fails', times: 1, skip: random.upTo(1) }],
  'a machine that does not start': (random) => [
    { fault: 'never-starts', times: 1, skip: random.upTo(1) },
  ],
  'a crash': (random) => [
    { fault: 'crashes', times: 1, skip: random.upTo(1), ms: 200 + random.upTo(600) },
  ],
  'a refusal': (random) => [{ fault: 'refused', times: 1, skip: random.upTo(2) }],
  'a slow start': (random) => [{ fault: 'slow-start', times: 1, skip: random.upTo(1) }],
  'a slow stop': (random) => [{ fault: 'slow-stop', times: 1, skip: random.upTo(1) }],
  'a stolen lease': (random) => [
    { fault: 'lease-stolen', times: 1, skip: random.upTo(2), ms: 3000 },
  ],
  'a wrong clock': (random) => [{ fault: 'clock-skew', ms: (random.upTo(1) || -1) * 600_000 }],
  [unseen]: (random) => [
    {
      fault: 'unseen',
      times: 1 + random.upTo(3),
      skip: random.upTo(2),
      on: '^GET .*/machines/[^/]+(/wait)?$',
    },
  ],
  'a host that is unreachable for a while': (random) => [
    {
      fault: 'host-gone',
      times: 1,
      on: '^(POST|GET) .*/machines/[^/]+',
      skip: random.upTo(3),
      ms: 3000,
    },
  ],
}

class SoakApp {
  readonly #lab: Lab
  readonly #truth: Truth
  readonly #name: string
  readonly #random: Random
  readonly #strategies: string[]
  /** What answers now, or null. */
  #served: Served | null = null

  constructor(lab: Lab, truth: Truth, name: string, random: Random, strategies: string[]) {
    this.#lab = lab
    this.#truth = truth
    this.#name = name
    this.#random = random
    this.#strategies = strategies
  }

  /** Runs one deployment, and returns what was wrong with its verdict. */
  async next(n: number): Promise<{ deployment: Deployment; what: string; wrong: string[] }> {
    const random = this.#random
    if (this.#served && random.fraction() < 0.2) await this.#grow()
    const size = this.#served?.machines.size ?? 0
    const nature: Nature =
      random.fraction() < 0.6 ? 'good' : random.oneOf(Object.keys(natures) as Nature[])
    const weather = random.fraction() < 0.4 ? 'a good day' : random.oneOf(Object.keys(weathers))
    const strategy = random.oneOf(this.#strategies)
    const page = random.oneOf(
      ['red', 'green', 'blue', 'grey'].filter((each) => each !== this.#served?.page),
    )
    const what = `${size} machines, ${strategy}, ${page}, ${nature}, ${weather}`

    const faults = weathers[weather]?.(random) ?? []
    if (faults.length > 0) await this.#lab.fly.hostile({ seed: n, app: this.#name, faults })
    const deployment = await deployFolder(this.#lab, this.#name, await this.#source(page, nature), {
      strategy,
    })
    const { served, wrong } = await this.#truth.check(this.#name, deployment, page, this.#served)
    const struck = await this.#lab.fly.calm(this.#name)
    this.#served = served
    if (nature !== 'good' && deployment.state === 'live')
      wrong.push(`a version that ${nature} was recorded as live`)
    const isHarmless = faults.length === 0 || weather === unseen
    if (nature === 'good' && isHarmless && deployment.state !== 'live')
      wrong.push(`a good version did not go live: ${deployment.problem?.detail}`)
    if (weather === 'a crash' && struck.length > 0 && deployment.state === 'live')
      wrong.push('a version that crashed was recorded as live')
    if (
      ['a silent revert', 'a failing pull'].includes(weather) &&
      deployment.problem?.code === 'rollback-failed'
    )
      wrong.push('one update that Fly gave up is no reason for a failed rollback')
    if (deployment.problem?.code === 'rollback-failed') {
      // The record asks for a repair by hand. Here the soak starts over.
      await destroyMachines(this.#lab, this.#name)
      this.#served = null
    }
    return {
      deployment,
      what: `${what}${faults.length > 0 ? ` (struck ${struck.length} times)` : ''}`,
      wrong,
    }
  }

  async #grow(): Promise<void> {
    await scaleTo(this.#lab, this.#name, 1 + this.#random.upTo(2))
    this.#served = await this.#truth.look(this.#name)
  }

  async #source(page: string, nature: Nature): Promise<string> {
    const folder = join(this.#lab.dir, 'soak', this.#name)
    await mkdir(folder, { recursive: true })
    const command = JSON.stringify(['sh', '-c', natures[nature]])
    const files = {
      Dockerfile: `FROM alpine\nCOPY index.html /www/\nRUN echo ok > /www/health\nCMD ${command}\n`,
      'index.html': page,
      'fly.toml': quicklyChecked('/health'),
    }
    for (const [path, text] of Object.entries(files)) await writeFile(join(folder, path), text)
    return folder
  }
}
