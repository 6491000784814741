import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Daemon } from '../../gateway/src/buildkit/daemon/daemon.ts'
import { Buildkit } from '../../gateway/src/buildkit/client.ts'
import { openLog } from '../../gateway/src/log.ts'
import { pickBridge } from '../../lab/parts/bridge.ts'
import { startRegistry } from '../../lab/parts/registry.ts'
import { tools } from '../../lab/ready.ts'
import { cacheLimits, limits, problemOf, stepBuilds } from './step-source.ts'

const registryPort = 6597
const open = new AsyncDisposableStack()
let builds: Awaited<ReturnType<typeof stepBuilds>>

beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-forged-'))
  open.defer(() => rm(dir, { recursive: true, force: true }))
  open.use(await startRegistry({ dir, port: registryPort }))
  const bridge = await pickBridge(dir)
  const plainHttp = [`127.0.0.1:${registryPort}`]
  const settings = {
    command: tools.buildkitd,
    dir,
    root: join(dir, 'buildkit'),
    bridge,
    nameservers: [],
    mirrors: {},
  }
  const more = { plainHttp, steps: 4, limits, stepLogBytes: 16 * 2 ** 20, cache: cacheLimits }
  const daemon = open.use(await Daemon.start({ ...settings, ...more }, openLog('silent')))
  const about = {
    address: daemon.address,
    contextPort: 0,
    key: Buffer.from('key'),
    loginFor: () => null,
  }
  const images = { allowed: [], frontends: [], own: '', refreshMs: 0 }
  const buildkit = open.use(await Buildkit.open({ ...about, images }))
  builds = await stepBuilds(dir, buildkit, plainHttp[0]!)
})
afterAll(() => open.disposeAsync())

// The source chooses the name of the missing file and the text of the command.
test.each([
  ['a missing file named like a full disk', 'COPY ["no space left on device", "/"]'],
  [
    'a command that quotes a lost session',
    'RUN ["/step", "say", "no active session for", "exit", "1"]',
  ],
  [
    'a missing file named like an image',
    'COPY ["failed to resolve source metadata for x: y", "/"]',
  ],
  ['a variable with a message of its own', 'ENV A=${X:?: no space left on device}'],
  ['an instruction like the address of an image', '//h/v2/a/manifests/1 x'],
])('%s is the fault of the source', async (_, line) => {
  const problem = await problemOf(builds.solve([line]))
  expect(problem.body()).toMatchObject({ code: 'build-failed' })
})
