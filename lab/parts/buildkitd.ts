/**
 * A real buildkitd with its own root, socket and bridge network. It takes base images from the
 * lab's registry.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { assertReady, tools } from '../ready.ts'
import { type Bridge, pickBridge, removeBridge } from './bridge.ts'
import { unmountBelow } from './mounts.ts'
import { resolvers } from './build-network.ts'
import {
  groupOf,
  limitsEnvironment,
  removeGroups,
  runcWithLimits,
  type Limits,
} from './step-limits.ts'
import { killRecorded, startProcess } from './process.ts'
import { removeContainers } from './runc-containers.ts'

const run = promisify(execFile)

export interface Buildkitd extends AsyncDisposable {
  /** unix://… */
  address: string
  bridge: Bridge
  log: string
}

export interface BuildkitdOptions {
  /** The lab's folder; the daemon's root is `buildkit/` in it. */
  dir: string
  /** The registry on loopback that stands in for docker.io and ghcr.io. */
  registryPort: number
  /** Other loopback registries with plain HTTP, such as the front that asks for a password. */
  plainHttpPorts?: number[]
  /** By default a free bridge, derived from the folder. */
  bridge?: Bridge
  /** Resolvers of build steps. By default this machine's own. */
  dns?: string[]
  /** Limits of each build step. By default the gateway's. */
  limits?: Partial<Limits>
}

export async function startBuildkitd(options: BuildkitdOptions): Promise<Buildkitd> {
  const { dir, registryPort, plainHttpPorts = [], dns = await resolvers(), limits = {} } = options
  assertReady(tools.buildkitd)
  await sweepBuildkitd(dir)
  const bridge = options.bridge ?? (await pickBridge(dir))
  const tmp = join(dir, 'buildkit/tmp') // a sweep finds the mounts of a killed daemon here
  await mkdir(tmp, { recursive: true })
  await writeFile(join(dir, 'bridge.json'), JSON.stringify(bridge))
  const steps = join(dir, 'buildkit/steps')
  await mkdir(steps, { recursive: true })
  const address = `unix://${join(dir, 'buildkitd.sock')}`
  const first = join(dir, 'buildkitd-first.sock')
  await rm(join(dir, 'buildkitd.sock'), { force: true })
  const config = join(dir, 'buildkitd.toml')
  await writeFile(
    config,
    configText(dir, `unix://${first}`, bridge, dns, registryPort, [
      registryPort,
      ...plainHttpPorts,
    ]),
  )
  const daemon = await startProcess({
    name: 'buildkitd',
    dir,
    command: [tools.buildkitd, '--config', config],
    env: {
      PATH: `${tools.dir}:${process.env['PATH']}`,
      TMPDIR: tmp,
      OTEL_TRACES_EXPORTER: 'none',
      ...limitsEnvironment(dir, steps, limits),
    },
    isReady: () =>
      run(tools.buildctl, ['--addr', `unix://${first}`, 'debug', 'workers'], {
        timeout: 5_000,
      }).then(
        () => true,
        () => false,
      ),
    readyMs: 30_000,
  })
  // As the gateway does: the trace socket is removed before any client can find the daemon, so no
  // step ever sees it.
  await rm(traceSocketOf(dir), { force: true })
  await rename(first, join(dir, 'buildkitd.sock'))
  return {
    address,
    bridge,
    log: daemon.log,
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]()
      await sweepBuildkitd(dir) // a killed daemon leaves containers and namespaces behind
    },
  }
}

/**
 * Removes everything that a buildkitd of this folder left on the machine: the process, its
 * containers, mounts, namespaces and bridge. The folder stays.
 */
export async function sweepBuildkitd(dir: string): Promise<void> {
  killRecorded(dir, 'buildkitd')
  const root = join(dir, 'buildkit')
  await removeContainers(root)
  await removeGroups(dir)
  await unmountBelow(root)
  const namespaces = join(root, 'net/cni')
  for (const id of await readdir(namespaces).catch(() => [])) {
    for (const result of await readdir('/var/lib/cni/results').catch(() => [])) {
      if (result.includes(id)) await rm(join('/var/lib/cni/results', result), { force: true })
    }
    await rm(join(namespaces, id))
  }
  const record = join(dir, 'bridge.json')
  if (!existsSync(record)) return
  await removeBridge(JSON.parse(await readFile(record, 'utf8')) as Bridge)
  await rm(record)
}

/** The daemon's socket for traces. While it exists, each step gets it. */
export const traceSocketOf = (dir: string) => join(dir, 'otel.sock')

function configText(
  dir: string,
  address: string,
  bridge: Bridge,
  dns: string[],
  mirrorPort: number,
  httpPorts: number[],
): string {
  const mirrors = ['docker.io', 'ghcr.io'].map(
    (host) => `[registry."${host}"]\n  mirrors = ["127.0.0.1:${mirrorPort}"]`,
  )
  const plain = httpPorts.map((port) => `[registry."127.0.0.1:${port}"]\n  http = true`)
  return `root = ${JSON.stringify(join(dir, 'buildkit'))}
[grpc]
  address = [${JSON.stringify(address)}]
[otel]
  socketPath = ${JSON.stringify(traceSocketOf(dir))}
[dns]
  nameservers = ${JSON.stringify(dns)}
[worker.oci]
  networkMode = "bridge"
  bridgeName = "${bridge.name}"
  bridgeSubnet = "${bridge.subnet}"
  binary = ${JSON.stringify(runcWithLimits)}
  defaultCgroupParent = ${JSON.stringify(groupOf(dir))}
[worker.containerd]
  enabled = false
${[...mirrors, ...plain].join('\n')}
`
}
