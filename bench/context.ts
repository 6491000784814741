import { execFile, spawn } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { Connection } from '../gateway/src/buildkit/connection.ts'
import { ContextServer, type Context } from '../gateway/src/buildkit/context/context-server.ts'
import { Solve } from '../gateway/src/buildkit/messages.ts'
import { marshal, type Node } from '../gateway/src/llb/graph.ts'
import { sourceTree } from '../gateway/src/buildkit/context/source-node.ts'
import { Sources } from '../gateway/src/sources/sources.ts'
import { startBuildkitd } from '../lab/parts/buildkitd.ts'
import { freePort } from '../lab/parts/ports.ts'
import { tools } from '../lab/ready.ts'
import { localSource } from './by-hand.ts'
import type { Measure } from './measure.ts'
import { makeSampleApp, pack } from './sample-app.ts'
import { sideBySide } from './side-by-side.ts'

const about =
  'sends a source to the daemon, compared with `buildctl --local`: [--files 20000] [--mb 300] [--runs 10]'
const goals = { first: 0.7, unchanged: 0.2 }

/**
 * Both ways end with the source as a file system in the daemon, from our context listener or from
 * buildctl's session.
 */
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
    await using daemon = await startBuildkitd({
      dir,
      registryPort: await freePort(Number(values.port)),
    })
    const connection = new Connection(daemon.address)
    using _ = { [Symbol.dispose]: () => connection.close() }
    await using contexts = await ContextServer.open(0, randomBytes(32))
    await using sources = await Sources.open({ dir: join(work, 'data') })
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
        const { digest } = await sources.receive(createReadStream(archive), {
          signal: AbortSignal.timeout(300_000),
        })
        offered = contexts.serveContext('bench', await sources.tree(digest), [])
      }
      for (const kind of ['first', 'unchanged'] as const) {
        console.log(`\n${what}, ${kind} transfer; theirs: buildctl --local`)
        const compared = await sideBySide(Number(values.runs), {
          before: async () => kind === 'first' && (await renew()),
          ours: () => onQuietDisk(() => byClient(connection, sourceTree(offered!))),
          theirs: () => onQuietDisk(() => byBuildctl(daemon.address, root)),
        })
        const goal = goals[kind]
        measures.push({
          bench: 'context',
          what,
          kind,
          ...compared,
          goal,
          ok: compared.ratio <= goal,
        })
      }
      offered![Symbol.dispose]()
    }
    return measures
  } finally {
    await rm(work, { recursive: true })
  }
}

/** Without this, each run waits for the unwritten data of the previous one. */
async function onQuietDisk(way: () => Promise<number>): Promise<number> {
  await promisify(execFile)('sync')
  return way()
}

async function makeFile(path: string, megabytes: number): Promise<void> {
  await using file = await open(path, 'w')
  for (let written = 0; written < megabytes; written++) await file.write(randomBytes(1_000_000))
}

/** Asks as the product's client does, over its kept connection. Exports nothing. */
async function byClient(connection: Connection, source: Node): Promise<number> {
  const startedAt = performance.now()
  const question = { ref: randomUUID(), definition: marshal(source), internal: true }
  await connection.ask(Solve, question, AbortSignal.timeout(300_000))
  return performance.now() - startedAt
}

async function byBuildctl(address: string, root: string): Promise<number> {
  const startedAt = performance.now()
  const words = ['--addr', address, 'build', '--progress', 'plain', '--local', `context=${root}`]
  const child = spawn(tools.buildctl, words, { stdio: ['pipe', 'ignore', 'ignore'] })
  child.stdin.end(marshal(localSource()))
  const [code] = (await once(child, 'close')) as [number]
  if (code !== 0) throw new Error(`buildctl ended with ${code}`)
  return performance.now() - startedAt
}

export const context = { about, run }
