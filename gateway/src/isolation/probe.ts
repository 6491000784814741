import { createHash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIPv4 } from 'node:net'
import { arch } from 'node:os'
import { basename, dirname } from 'node:path'
import { Problem } from '#api/problem.ts'
import { treeDigest, type TreeEntry } from '#api/tree.ts'
import { applyFirewallRules, type BuildNetwork } from './firewall.ts'
import { listenEverywhere } from '../host/own-addresses.ts'
import { copy, exec, http, marshal, scratch } from '../llb/graph.ts'
import type { Buildkit } from '../buildkit/client.ts'
import { probeScript, readProbe, type Found } from '../buildkit/daemon/step-probe.ts'

/**
 * A host and a port to connect to. A link-local address ends in `%eth0`. The host `gateway` is the
 * step's default route.
 */
export type Target = { host: string; port: number }

const platform = { OS: 'linux', Architecture: arch() === 'arm64' ? 'arm64' : 'amd64' }
const selfPort = 47_311
const busyboxPaths = ['/usr/bin/busybox', '/bin/busybox']

/**
 * Applies the firewall rules for build steps and tests them from a build step. The step must reach
 * neither `ports` of the gateway nor a listener on any address of this machine. It must find no
 * socket, device or kernel file either. Returns what was tried; throws a Problem with what was
 * reached.
 */
export async function verifyIsolation(
  buildkit: Buildkit,
  { ports, ...network }: BuildNetwork & { ports: readonly number[] },
  signal: AbortSignal,
): Promise<string> {
  const { stepsApart } =
    network.bridge === '' ? { stepsApart: true } : await applyFirewallRules(network)

  using listener = await listenEverywhere()
  // In the step, eth0 is the only link, so a link-local address must name it.
  const hosts = listener.addresses.map((address) => address.replace(/%.*/, '%eth0'))
  const mapped = hosts.filter((host) => isIPv4(host)).map((host) => `::ffff:${host}`)
  const targets = ['gateway', ...hosts, ...mapped].flatMap((host) =>
    [listener.port, ...ports].map((port) => ({ host, port })),
  )

  const { reached, things, limited } = await triedFromStep(buildkit, targets, signal)
  refuse(reached, things)

  return [
    `a build step reached none of ${targets.length} addresses, sockets and devices of this machine`,
    ...(stepsApart
      ? []
      : ['build steps that run at once can reach each other: this kernel cannot filter a bridge']),
    ...(limited
      ? []
      : [
          'build steps have no limits on memory and processes: the gateway did not start their daemon',
        ]),
  ].join('; ')
}

function refuse(reached: Target[], things: string[]): void {
  if (reached.length > 0) {
    const named = reached.slice(0, 3).map(({ host, port }) => `${host} port ${port}`)
    const detail = `a build step reaches this machine at ${named.join(', ')}; TARMAC_BUILD_BRIDGE must name the bridge of build steps`
    throw new Problem('not-ready', detail, { facts: { reached } })
  }
  if (things.length === 0) return
  const trace = things.some((thing) => thing.endsWith('otel-grpc.sock'))
  const advice = trace
    ? 'Remove the socket of the build daemon’s [otel] socketPath when the daemon has started, or let the gateway start it (TARMAC_BUILDKIT=spawn).'
    : 'Look at the settings of the build daemon and at its runc.'
  const detail = `a build step can use what it must not: ${things.slice(0, 3).join(', ')}. ${advice}`
  throw new Problem('not-ready', detail, { facts: { found: things } })
}

/**
 * Runs a build step that tries to connect to all targets at once, and searches for sockets, devices
 * and kernel files.
 */
export async function triedFromStep(
  buildkit: Buildkit,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<Found & { reached: Target[] }> {
  const tree = await busyboxTree()
  using context = buildkit.serveContext('network canary', tree, { ignore: [] })
  const tar = http(context.url, { filename: context.filename }, '[internal] receive the canary')
  const root = copy(scratch, tar, {
    src: `/${context.filename}`,
    dest: '/',
    attemptUnpackDockerCompatibility: true,
  })

  const list = targets.map(({ host, port }) => `${host} ${port}`)
  const step = exec(root, {
    args: ['/busybox', 'sh', '-c', script, 'sh', ...list],
    env: [`RUN=${randomUUID()}`], // never take the result from the cache
    cwd: '/',
    platform,
  })

  const lines: string[] = []
  await buildkit.solve(
    { definition: marshal(step), image: {}, context },
    {
      ref: randomUUID(),
      app: 'network canary',
      names: [],
      labels: {},
      secrets: new Map(),
      rebuild: false,
      cache: null,
      emit: (event) =>
        event.type === 'log' && event.stream === 'stdout' && lines.push(...event.text.split('\n')),
      pushing: () => {},
    },
    signal,
  )

  const probe = readProbe(lines)
  if (!lines.includes('reached itself') || !lines.includes(`tried ${targets.length}`) || !probe)
    throw new Problem('not-ready', 'the probe build did not report a result', {
      cause: new Error(lines.join('\n')),
    })

  return {
    ...probe,
    reached: targets.filter(({ host, port }) => lines.includes(`reached ${host} ${port}`)),
  }
}

/**
 * Each connection has one second. First, as the control, the step connects to itself: a program
 * that cannot connect to anything would prove nothing.
 */
const script = `
b=/busybox
connects() { $b nc -w 1 "$1" "$2" -e $b true </dev/null >/dev/null 2>&1; }
$b nc -l -p ${selfPort} -e $b true </dev/null >/dev/null 2>&1 &
for n in 1 2 3 4 5 6 7 8 9; do connects 127.0.0.1 ${selfPort} && echo 'reached itself' && break; $b sleep 0.1; done
gateway=$($b ip route | $b awk '/^default/ { print $3 }')
try() {
  host=$1
  [ "$host" = gateway ] && host=$gateway
  connects "$host" "$2" && echo "reached $1 $2"
}
targets=$#
for target; do try $target & done
${probeScript}
wait
echo "tried $targets"
`

/** The probe step needs only one static program, so no image is pulled for it. */
async function busyboxTree() {
  for (const path of busyboxPaths) {
    const bytes = await readFile(path).catch(() => null)
    if (!bytes) continue
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const entries: TreeEntry[] = [
      { type: 'file', path: basename(path), mode: 0o755, sizeBytes: bytes.length, sha256 },
    ]
    return {
      digest: treeDigest(entries),
      files: 1,
      sizeBytes: bytes.length,
      root: dirname(path),
      entries,
    }
  }
  throw new Problem(
    'not-ready',
    'the probe build needs /bin/busybox on this machine; install busybox-static',
  )
}
