import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Fault } from '../localfly/hostile.ts'
import { startSmallFly } from '../localfly/start-small.ts'
import { Random } from './random.ts'
import { readNumbers } from './read-numbers.ts'

const about =
  'makes and removes builders (tarmac up, tarmac down), killed at random calls and with faults of Fly; finds what is stray or lost: [--times 100] [--seed N]'

async function run(args: string[]): Promise<boolean> {
  return (await upAndDown({ ...readNumbers(args, { times: 100 }), say })).length === 0
}

const say = (line: string): void => console.log(line)
export const soakUp = { about, run }

const token = 'soak-token'
const image = `registry.fly.io/tarmac@sha256:${'a'.repeat(64)}`
const client = join(import.meta.dirname, '../../client/src/main.ts')
/** More calls than a command makes, so that some runs end before they are killed. */
const mostCalls = 30
const faults: Fault[] = [
  'error-before',
  'error-after',
  'cut',
  'cut-before',
  'cut-midway',
  'edge',
  'rate-limit',
]

type Command = { words: string[]; ends: 'up' | 'kept' | 'gone' }
const up = ['up', '--image', image, '--region', 'fra']
const commands: Command[] = [
  { words: up, ends: 'up' },
  { words: [...up, '--env', 'TARMAC_LOG_LEVEL=debug'], ends: 'up' },
  { words: [...up, '--size', 'shared-cpu-8x:8gb'], ends: 'up' },
  { words: [...up, '--volume', '60'], ends: 'up' },
  { words: ['down'], ends: 'kept' },
  { words: ['down', '--delete-volume'], ends: 'gone' },
]

/** Returns what was wrong. Each round runs a command, kills it, and runs it again to its end. */
export async function upAndDown({
  times,
  seed,
  say,
}: {
  times: number
  seed: number
  say: (line: string) => void
}): Promise<string[]> {
  say(`soak: seed ${seed}`)
  const dir = await mkdtemp(join(tmpdir(), 'soak-up-'))
  const killer = new Killer()
  await using fly = await startSmallFly(dir, { token, around: killer.around })
  const env = {
    PATH: process.env['PATH'],
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
    FLY_FLAPS_BASE_URL: fly.flyApi,
    FLY_API_TOKEN: token,
    XDG_CONFIG_HOME: join(dir, 'config'),
  }
  const start = (words: string[]) =>
    spawn(process.execPath, [client, ...words], { env, stdio: ['ignore', 'ignore', 'pipe'] })

  const random = new Random(seed, 'up')
  const wrong: string[] = []
  let killed = 0
  for (let round = 1; round <= times; round++) {
    const { words, ends } = random.oneOf(commands)
    const before = new Set(fly.state.volumes.keys())
    if (random.fraction() < 0.5)
      fly.be({ seed: seed + round, faults: [{ fault: random.oneOf(faults), rate: 0.2, ms: 0 }] })
    if (random.fraction() < 0.2)
      fly.be({ faults: [{ fault: 'refused', refusal: 'no-capacity', times: 2 }] })

    killer.arm(1 + random.upTo(mostCalls), random.oneOf(['before', 'after']))
    const first = start(words)
    if ((await killer.watch(first)).signal) killed++
    fly.be({ faults: [] })
    killer.disarm()
    const last = await killer.watch(start(words))

    const now = inventory(fly.state)
    const lost = ends === 'gone' ? [] : [...before].filter((id) => !fly.state.volumes.has(id))
    const what = `round ${round}: tarmac ${words.join(' ')}`
    if (last.code !== 0) wrong.push(`${what}: exit code ${last.code}: ${last.said}`)
    else if (now !== expected(ends, before.size > 0)) wrong.push(`${what}: ${now}`)
    if (lost.length > 0) wrong.push(`${what}: lost ${lost.join(', ')}`)
    if (round % 10 === 0) say(`soak: ${round} rounds, ${killed} killed, ${wrong.length} wrong`)
  }

  await rm(dir, { recursive: true, force: true })
  for (const line of wrong) say(`WRONG: ${line}`)
  say(`${times} rounds, ${killed} killed, ${wrong.length} wrong`)
  return wrong
}

type State = Awaited<ReturnType<typeof startSmallFly>>['state']

function inventory(state: State): string {
  const apps = [...state.apps.values()]
  const machines = [...state.machines.values()].filter((each) => each.state !== 'destroyed')
  const addresses = apps.flatMap(({ ips }) => ips)
  return `${apps.length} apps, ${addresses.length} addresses, ${state.volumes.size} volumes, machines: ${machines.map((each) => each.state).join(', ')}`
}

/** A `down` without a builder leaves nothing, and so does one whose builder has no volume yet. */
function expected(ends: Command['ends'], hadVolume: boolean): string {
  if (ends === 'up') return '1 apps, 1 addresses, 1 volumes, machines: started'
  if (ends === 'kept' && hadVolume) return '1 apps, 0 addresses, 1 volumes, machines: '
  return '0 apps, 0 addresses, 0 volumes, machines: '
}

/** Kills a client at one of its calls: before Fly has it, or after Fly has done it. */
class Killer {
  #left = Infinity
  #when: 'before' | 'after' = 'before'
  #child: ChildProcess | null = null

  arm(call: number, when: 'before' | 'after'): void {
    this.#left = call
    this.#when = when
  }

  disarm(): void {
    this.#left = Infinity
  }

  /** Resolves when the client has ended. */
  watch(
    child: ChildProcess,
  ): Promise<{ code: number | null; signal: string | null; said: string }> {
    this.#child = child
    let said = ''
    child.stderr!.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-2000)))
    return new Promise((resolve) =>
      child.once('close', (code, signal) => resolve({ code, signal, said })),
    )
  }

  around =
    (handler: RequestListener): RequestListener =>
    (req, res) => {
      if (--this.#left !== 0) return handler(req, res)
      const kill = () => {
        this.#child?.kill('SIGKILL')
        req.socket.destroy()
      }
      if (this.#when === 'before') return kill()
      res.end = () => {
        kill()
        return res
      }
      handler(req, res)
    }
}
