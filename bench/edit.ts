import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'
import { Podman } from '../lab/localfly/podman.ts'
import { type Lab, startLab } from '../lab/start-lab.ts'
import { readPage } from '../lab/use-lab.ts'
import { byHandApp, ByHand } from './by-hand.ts'
import type { Measure } from './measure.ts'
import { pack } from './sample-app.ts'
import { sideBySide } from './side-by-side.ts'
import { factsOf } from './warm-lab.ts'

const about =
  "one line changed in a small Node app: from the client's start to the page's new answer, compared with the same by hand: [--runs 10]"
const goal = 1.3
const root = join(import.meta.dirname, '..')
const app = 'bench-edit'
const pollMs = 10
const answerMs = 60_000

/**
 * Both begin with a folder in which one line has just changed. By hand: `buildctl build` and push,
 * `podman pull`, `podman run`.
 */
async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({
    args,
    options: {
      runs: { type: 'string', default: '10' },
      port: { type: 'string', default: '8451' },
      dir: { type: 'string', default: '.lab-bench' },
    },
  })
  const { dir, port } = values
  const runs = Number(values.runs)
  await promisify(execFile)(process.execPath, [join(root, 'client/bundle.ts')])
  await using lab = await startLab({
    dir,
    port: Number(port),
    settings: { TARMAC_WATCH: '1' },
    say: (line) => console.log(line),
  })
  await using work = await scratch()
  const source = join(work.dir, 'app')
  await cp(join(root, 'examples/hello-node'), source, { recursive: true })
  await pack(source, join(work.dir, 'app.tar.gz'))
  const hand = new ByHand({ lab, dir: join(work.dir, 'by-hand') })
  await hand.prepare(join(work.dir, 'app.tar.gz'))
  await using engine = openEngine(work.dir, lab)
  let edits = Date.now() // earlier builds of this folder must not be reused

  const ours = async () => {
    const greeting = await edit(source, ++edits)
    const startedAt = performance.now()
    const client = spawn(
      process.execPath,
      [join(root, 'client/bin/tarmac'), 'deploy', app, source],
      {
        env: { ...process.env, TARMAC_GATEWAY: lab.gateway, TARMAC_TOKEN: lab.token },
        stdio: 'ignore',
      },
    )
    const ended = once(client, 'exit')
    const ms = await untilAnswered(startedAt, greeting, async () => (await readPage(lab, app)).body)
    const [code] = await ended
    if (code !== 0) throw new Error(`the client ended with ${code}`)
    return ms
  }
  const theirs = async () => {
    const greeting = await edit(join(work.dir, 'by-hand/source'), ++edits)
    const startedAt = performance.now()
    await hand.rebuild()
    await engine.replace()
    return untilAnswered(startedAt, greeting, async () =>
      (await fetch(`http://${engine.address}:8080/`, { signal: AbortSignal.timeout(1000) })).text(),
    )
  }
  for (const way of [ours, ours, theirs, theirs]) await way() // warms the caches
  const compared = await sideBySide(runs, { ours, theirs })
  return [{ bench: 'edit', runs, ...compared, goal, ok: compared.ratio <= goal, ...factsOf(lab) }]
}

async function edit(source: string, round: number): Promise<string> {
  // A different size each time, because buildctl misses a change within a second of the last one.
  const greeting = `Hello ${round} ${'.'.repeat(round % 97)}`
  const file = join(source, 'server.js')
  const text = await readFile(file, 'utf8')
  await writeFile(file, text.replace(/const greeting = .*/, `const greeting = '${greeting}'`))
  return greeting
}

async function untilAnswered(
  startedAt: number,
  words: string,
  page: () => Promise<string>,
): Promise<number> {
  while (!(await page().catch(() => '')).includes(words)) {
    if (performance.now() - startedAt > answerMs)
      throw new Error(`no answer with “${words}” within ${answerMs / 1000} s`)
    await sleep(pollMs)
  }
  return performance.now() - startedAt
}

/** Podman with its own storage and network, as a person has it. */
function openEngine(dir: string, lab: Lab) {
  const podman = new Podman({ dir: join(dir, 'podman'), name: 'by-hand' })
  podman.open()
  const image = `${lab.registry}/${byHandApp}:latest`
  const address = podman.addresses()[0]!
  const place = ['--network=lab', `--ip=${address}`, '--memory=512m', '--init', '--env=PORT=8080']
  return {
    address,
    async replace(): Promise<void> {
      await podman.command([
        'pull',
        '--quiet',
        '--tls-verify=false',
        '--creds',
        `x:${lab.flyToken}`,
        image,
      ])
      await podman.command([
        'run',
        '--detach',
        '--replace',
        '--pull=never',
        '--name=by-hand',
        ...place,
        image,
      ])
    },
    [Symbol.asyncDispose]: () => podman.sweep(),
  }
}

async function scratch() {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-bench-'))
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) }
}

export const editLine = { about, run }
