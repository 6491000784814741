/**
 * Tries from inside a build to reach what builds must not reach, with and without the gateway's
 * isolation.
 */
import { execFile } from 'node:child_process'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheDir } from '../ready.ts'
import { withLock } from '../make/lock.ts'
import { startLab, type Lab } from '../start-lab.ts'
import { traceSocketOf } from '../parts/buildkitd.ts'
import { kernelTargets, listenAt, listenWithoutPath } from './kernel-targets.ts'
import { startNameServer } from './name-server.ts'
import { beyond, isReached, linkLocalOf, onThisMachine, openPlaces } from './places.ts'

const run = promisify(execFile)

export type Row = {
  what: string
  /** An address and a port, or a path. */
  place: string
  /**
   * Who shows that something listens there: the same step without isolation, or this machine when a
   * step cannot reach it at all.
   */
  control: 'step' | 'host'
  /** Whether the isolation lets it through. Two rows show that it does not close everything. */
  open: boolean
  controlReached: boolean
  reached: boolean
}

/** Whether this row has the expected result. */
export const isRight = ({ open, controlReached, reached }: Row): boolean =>
  controlReached && reached === open

const names: Record<string, string> = {
  '_api.internal': onThisMachine.sixPn,
  'metadata.canary.test': beyond.metadata,
  'private.canary.test': beyond.tenth,
  'machine.canary.test': onThisMachine.tenth,
  'six.canary.test': onThisMachine.uniqueLocal,
}

/**
 * Runs the whole proof in its own lab, which it removes afterwards. `port` and the ports above it
 * must be free.
 */
export function tryIsolation(options: {
  dir: string
  port: number
  say?: (line: string) => void
}): Promise<Row[]> {
  // all runs use the same addresses of this machine
  return withLock(join(cacheDir, 'canary.lock'), () => tryIsolationAlone(options))
}

async function tryIsolationAlone({
  dir,
  port,
  say = () => {},
}: {
  dir: string
  port: number
  say?: (line: string) => void
}) {
  await using lab = await startLab({
    dir,
    port,
    say,
    dns: [onThisMachine.resolver],
    settings: { TARMAC_HOST: '0.0.0.0', TARMAC_BUILD_ALLOW: beyond.allowed },
  })
  const listenPort = port + 90
  await using places = await openPlaces(lab.bridge, listenPort)
  using _names = await startNameServer(onThisMachine.resolver, names)
  await using _nameless = await listenWithoutPath()
  const targets = [
    ...targetsOf(lab, await outsideLink(), places.neighbour, listenPort),
    ...(await thingsOf(lab)),
  ]

  say('without isolation')
  const table = `tarmac_${lab.bridge.name.replaceAll(/\W/g, '_')}`
  for (const family of ['inet', 'bridge'])
    await run('nft', ['delete', 'table', family, table]).catch(() => {})
  // the state when nobody removes the daemon's socket
  const traces = await listenAt(traceSocketOf(lab.dir))
  const without = await triedFromStep(lab, targets, 'without').finally(() =>
    traces[Symbol.asyncDispose](),
  )
  say('with the isolation that a starting gateway sets up')
  await lab.start('gateway')
  const within = await triedFromStep(lab, targets, 'with')

  return Promise.all(
    targets.map(async (target, at): Promise<Row> => {
      const controlReached = without.has(at) || (await target.fromHost?.()) === true
      return { ...target, reached: within.has(at), controlReached }
    }),
  )
}

const portOf = (address: string) => Number(/:(\d+)\/?$/.exec(address)?.[1])

type Target = Pick<Row, 'what' | 'place' | 'control' | 'open'> & {
  /** The line for `try.py`. */
  line: string
  fromHost?: () => Promise<boolean>
}

/**
 * The trace socket is tried without isolation too. This machine reaches the other targets; steps
 * never do.
 */
async function thingsOf(lab: Lab): Promise<Target[]> {
  const trace = '/dev/otel-grpc.sock'
  return [
    {
      what: 'socket: the build daemon’s for traces',
      place: trace,
      line: `unix ${trace}`,
      control: 'step',
      open: false,
    },
    ...(await kernelTargets(lab.buildkit.replace('unix://', ''))).map(
      ({ what, way, place, device }): Target => ({
        what,
        place,
        line: [way, place, device].filter(Boolean).join(' '),
        control: 'host',
        open: false,
        // a target is listed only when this machine reaches it
        fromHost: () => Promise.resolve(true),
      }),
    ),
  ]
}

function targetsOf(lab: Lab, outside: string, neighbour: string, port: number): Target[] {
  const step = (what: string, host: string, at = port, open = false): Target => ({
    what,
    place: `${host} ${at}`,
    line: `tcp ${host} ${at}`,
    control: 'step',
    open,
  })
  const host = (what: string, address: string, at = port, fromHost = address): Target => ({
    what,
    place: `${address} ${at}`,
    line: `tcp ${address} ${at}`,
    control: 'host',
    open: false,
    fromHost: () => isReached(fromHost, at),
  })
  const bridge = lab.bridge.subnet.replace('0/24', '1')
  const own = networkInterfaces()[outside] ?? []
  const own4 = own.filter(({ family }) => family === 'IPv4')
  const own6 = own.filter(({ family }) => family === 'IPv6')
  const link = linkLocalOf(lab.bridge.name)
  const gatewayPort = portOf(lab.gateway)
  return [
    host('loopback', '127.0.0.1'),
    host('loopback, another address', '127.77.77.77'),
    host('gateway, on loopback', '127.0.0.1', gatewayPort),
    host('context listener', '127.0.0.1', lab.contextPort),
    host('localfly: Machines API', '127.0.0.1', portOf(lab.flyApi)),
    host('localfly: apps', '127.0.0.1', portOf(lab.apps)),
    host('registry', '127.0.0.1', portOf(lab.registry)),
    step('the bridge’s own address', bridge),
    step('gateway, on the bridge', bridge, gatewayPort),
    ...own4.map(({ address }) => step('this machine', address)),
    ...own4.map(({ address }) => step('gateway, on this machine', address, gatewayPort)),
    step('this machine, private address', onThisMachine.tenth),
    step('the resolver, but not for names', onThisMachine.resolver),
    step('a step of another build', neighbour),
    step('metadata service', beyond.metadata),
    step('link-local', beyond.linkLocal),
    step('private 10/8', beyond.tenth),
    step('private 172.16/12', beyond.private172),
    step('private 192.168/16', beyond.private192),
    step('shared 100.64/10', beyond.shared),
    step('protocols 192.0.0/24', beyond.protocols),
    step('test 192.0.2/24', beyond.test1),
    step('test 198.51.100/24', beyond.test2),
    step('test 203.0.113/24', beyond.test3),
    step('relay 192.88.99/24', beyond.relay),
    step('benchmark 198.18/15', beyond.benchmark),
    step('reserved 240/4', beyond.reserved),
    step('IPv4 in IPv6: this machine', `::ffff:${onThisMachine.tenth}`),
    step('IPv4 in IPv6: metadata', `::ffff:${beyond.metadata}`),
    step('IPv4 in IPv6: private', `::ffff:${beyond.private192}`),
    host('IPv4 in IPv6: loopback', '::ffff:127.0.0.1'),
    host('IPv6 loopback', '::1'),
    ...own6
      .filter(({ scopeid }) => !scopeid)
      .map(({ address }) => host('IPv6 of this machine', address)),
    ...(link ? [step('IPv6 link-local of the bridge', `${link.address}%eth0`)] : []),
    host('6PN', onThisMachine.sixPn),
    host('IPv6 unique local', onThisMachine.uniqueLocal),
    host('IPv6 metadata service', onThisMachine.metadata6),
    host('IPv6 test', onThisMachine.test6),
    host('NAT64 of the metadata service', onThisMachine.nat64),
    host('name: _api.internal', '_api.internal', port, onThisMachine.sixPn),
    host(
      'name of an IPv6 unique local address',
      'six.canary.test',
      port,
      onThisMachine.uniqueLocal,
    ),
    step('name of the metadata service', 'metadata.canary.test'),
    step('name of a private address', 'private.canary.test'),
    step('name of this machine', 'machine.canary.test'),
    step('open: an address allowed by setting', beyond.allowed, port, true),
    step('open: the public network (its stand-in)', beyond.open, port, true),
  ]
}

/** The link that leads outside. Its addresses belong to this machine. */
async function outsideLink(): Promise<string> {
  const { stdout } = await run('ip', ['-json', 'route', 'show', 'default'])
  return (JSON.parse(stdout || '[]') as { dev: string }[])[0]?.dev ?? 'lo'
}

/**
 * Deploys an app whose build tries the targets. Returns the list positions of those that it
 * reached.
 */
async function triedFromStep(lab: Lab, targets: Target[], name: string): Promise<Set<number>> {
  const source = join(lab.dir, `canary-${name}`)
  await mkdir(source, { recursive: true })
  const lines = targets.map(({ line }) => `${line}\n`)
  await writeFile(join(source, 'targets'), lines.join(''))
  await cp(join(import.meta.dirname, 'try.py'), join(source, 'try.py'))
  await writeFile(
    join(source, 'Dockerfile'),
    'FROM python:3\nCOPY try.py targets /\nRUN ["python3", "/try.py"]\n',
  )
  const archive = `${source}.tar`
  await run('tar', ['cf', archive, '-C', source, '.'])
  const url = `${lab.gateway}/deploy/canary?deploy=false&rebuild=true`
  const { stdout } = await run('curl', [
    '-sS',
    '-T',
    archive,
    '-H',
    `Authorization: Bearer ${lab.token}`,
    url,
  ])
  if (!stdout.includes(`tried ${targets.length}`))
    throw new Error(`the build ${name} isolation did not try all targets:\n${stdout}`)
  return new Set([...stdout.matchAll(/reached (\d+)$/gm)].map(([, at]) => Number(at)))
}
