/** What a build step must not reach, and the two places that it may reach. */
import { execFile } from 'node:child_process'
import { networkInterfaces } from 'node:os'
import { promisify } from 'node:util'
import type { Lab } from '../start-lab.ts'
import { kernelTargets } from './kernel-targets.ts'
import { beyond, isReached, linkLocalOf, onThisMachine } from './places.ts'

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

export type Target = Pick<Row, 'what' | 'place' | 'control' | 'open'> & {
  /** The line for `try.py`. */
  line: string
  fromHost?: () => Promise<boolean>
}

/** All targets of a lab. `neighbour` is a step of another build. They listen on this port. */
export async function listTargets(lab: Lab, neighbour: string, port: number): Promise<Target[]> {
  return [
    ...networkTargets(lab, await outsideLink(), neighbour, port),
    ...(await localTargets(lab)),
  ]
}

function networkTargets(lab: Lab, outside: string, neighbour: string, port: number): Target[] {
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

/**
 * The trace socket is tried without isolation too. This machine reaches the other targets; steps
 * never do.
 */
async function localTargets(lab: Lab): Promise<Target[]> {
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

/** The link that leads outside. Its addresses belong to this machine. */
async function outsideLink(): Promise<string> {
  const { stdout } = await run('ip', ['-json', 'route', 'show', 'default'])
  return (JSON.parse(stdout || '[]') as { dev: string }[])[0]?.dev ?? 'lo'
}

const portOf = (address: string) => Number(/:(\d+)\/?$/.exec(address)?.[1])
