import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ContextServer, type Context } from '../gateway/src/buildkit/context-server.ts'
import { Intake } from '../gateway/src/intake/intake.ts'
import { marshal, type Node } from '../gateway/src/llb/graph.ts'
import { sourceTree } from '../gateway/src/railpack/source-tree.ts'
import { startBuildkitd } from '../lab/parts/buildkitd.ts'
import { freePort } from '../lab/parts/ports.ts'
import { tools } from '../lab/ready.ts'
import { localSource } from './by-hand.ts'
import type { Measure } from './main.ts'
import { makeSampleApp, pack } from './sample-app.ts'
import { sideBySide } from './side-by-side.ts'

const about = 'a source on its way to the daemon, beside `buildctl --local`: [--files 20000] [--mb 300] [--runs 10]'
const goals = { first: 0.7, unchanged: 0.2 }

/** Both ways end with the source as a file system in the daemon, asked for by buildctl: only where it comes from differs. */
async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({
    args,
    options: {
      files: { type: 'string', default: '20000' },
      mb: { type: 'string', default: '300' },
      runs: { type: 'string', default: '10' },
      port: { type: 'string', default: '8451' },
      dir: { type: 'string', default: '.lab-bench' },
    },
  })
  const dir = resolve(values.dir)
  await mkdir(dir, { recursive: true })
  const work = await mkdtemp(join(tmpdir(), 'tarmac-bench-'))
  try {
    await using daemon = await startBuildkitd({ dir, registryPort: await freePort(Number(values.port)) })
    await using contexts = await ContextServer.open(0, randomBytes(32))
    await using intake = await Intake.open({ dir: join(work, 'data') })
    const [root, archive] = [join(work, 'source'), join(work, 'source.tar.gz')]
    const files = Number(values.files)
    const shapes = {
      [`${files} files`]: (seed: number) => makeSampleApp(root, files, seed),
      [`a file of ${values.mb} MB`]: () => makeFile(join(root, 'large'), Number(values.mb)),
    }
    const measures: Measure[] = []
    for (const [what, make] of Object.entries(shapes)) {
      let offered: Context | null = null
      const renew = async () => {
        offered?.[Symbol.dispose]()
        await rm(root, { recursive: true, force: true })
        await mkdir(root)
        await make(Date.now())
        await pack(root, archive)
        const { digest } = await intake.receive(createReadStream(archive), { signal: AbortSignal.timeout(300_000) })
        offered = contexts.offer('bench', await intake.tree(digest), [])
      }
      for (const kind of ['first', 'unchanged'] as const) {
        console.log(`\n${what}, ${kind} transfer; theirs: buildctl --local`)
        const compared = await sideBySide(Number(values.runs), {
          before: async () => kind === 'first' && (await renew()),
          ours: () => load(daemon.address, [], sourceTree(offered!.url)),
          theirs: () => load(daemon.address, ['--local', `context=${root}`], localSource()),
        })
        const goal = goals[kind]
        measures.push({ bench: 'context', what, kind, ...compared, goal, ok: compared.ratio <= goal })
      }
      offered![Symbol.dispose]()
    }
    return measures
  } finally {
    await rm(work, { recursive: true })
  }
}

async function makeFile(path: string, megabytes: number): Promise<void> {
  await using file = await open(path, 'w')
  for (let written = 0; written < megabytes; written++) await file.write(randomBytes(1_000_000))
}

/** Has the daemon make the source a file system; nothing is exported. */
async function load(address: string, locals: string[], source: Node): Promise<number> {
  const startedAt = performance.now()
  const child = spawn(tools.buildctl, ['--addr', address, 'build', '--progress', 'plain', ...locals], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  child.stdin.end(marshal(source))
  const [code] = (await once(child, 'close')) as [number]
  if (code !== 0) throw new Error(`buildctl ended with ${code}`)
  return performance.now() - startedAt
}

export const context = { about, run }
