import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Buildkit } from '../gateway/src/buildkit/client.ts'
import { sourceTree } from '../gateway/src/buildkit/context/source-node.ts'
import { marshal } from '../gateway/src/llb/graph.ts'
import { PushProxy } from '../gateway/src/mirror/push-proxy.ts'
import { Sources } from '../gateway/src/sources/sources.ts'
import { startBuildkitd } from '../lab/parts/buildkitd.ts'
import { freePort } from '../lab/parts/ports.ts'
import { startRegistry } from '../lab/parts/registry.ts'
import type { Measure } from './measure.ts'
import { pack } from './sample-app.ts'
import { sideBySide } from './side-by-side.ts'

const about =
  'pushes an image through the push proxy, compared with a push straight to the same registry: [--mb 200] [--runs 6]'
const goal = 1.5

async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({
    args,
    options: {
      mb: { type: 'string', default: '200' },
      runs: { type: 'string', default: '6' },
      port: { type: 'string', default: '8461' },
      dir: { type: 'string', default: '.lab-bench' },
    },
  })
  const dir = resolve(values.dir)
  await mkdir(dir, { recursive: true })
  const work = await mkdtemp(join(tmpdir(), 'tarmac-bench-'))
  try {
    const registryPort = await freePort(Number(values.port))
    await using registry = await startRegistry({ dir, port: registryPort })
    await using daemon = await startBuildkitd({ dir, registryPort })
    await using sources = await Sources.open({ dir: join(work, 'data') })
    await using buildkit = await Buildkit.open({
      address: daemon.address,
      contextPort: 0,
      key: randomBytes(32),
      loginFor: () => null,
      images: { allowed: [], frontends: [], own: registry.address, refreshMs: 60_000 },
    })
    await using proxy = await PushProxy.open({
      port: 0,
      machine: null,
      limits: { connectMs: 3000, answerMs: 60_000, windowMs: 60_000, minBytesPerS: 1 },
      mirror: {
        origin: `http://${registry.address}`,
        registry: 'registry.fly.io',
        authorization: () => 'Basic eDp4',
      },
    })

    /** Builds an image with a new layer, and returns how long its push took. */
    const push = async (host: string, pushLogin: Parameters<Buildkit['solve']>[1]['pushLogin']) => {
      const root = join(work, 'source')
      await rm(root, { recursive: true, force: true })
      await mkdir(root)
      await writeFile(join(root, 'large'), randomBytes(Number(values.mb) * 1_000_000))
      await pack(root, join(work, 'source.tar.gz'))
      const signal = AbortSignal.timeout(300_000)
      const archive = createReadStream(join(work, 'source.tar.gz'))
      const tree = await sources.tree((await sources.receive(archive, { signal })).digest)
      using context = buildkit.serveContext('bench', tree, { ignore: [] })
      let startedAt = 0
      await buildkit.solve(
        {
          definition: marshal(sourceTree(context)),
          image: { os: 'linux', architecture: 'amd64' },
          context,
        },
        {
          ref: `bench-${randomBytes(8).toString('hex')}`,
          app: 'bench',
          names: [`${host}/bench:1`],
          ...(pushLogin && { pushLogin }),
          labels: {},
          compression: { type: 'uncompressed' },
          secrets: new Map(),
          rebuild: false,
          cache: null,
          emit() {},
          pushing: () => (startedAt = performance.now()),
        },
        signal,
      )
      return performance.now() - startedAt
    }

    console.log(`a layer of ${values.mb} MB; theirs: straight to the registry`)
    const compared = await sideBySide(Number(values.runs), {
      ours: async () => {
        using through = proxy.begin('bench', () => {})
        return await push(through.host, through)
      },
      theirs: () => push(registry.address, null),
    })
    return [{ bench: 'push', ...compared, goal, ok: compared.ratio <= goal }]
  } finally {
    await rm(work, { recursive: true })
  }
}

export const push = { about, run }
