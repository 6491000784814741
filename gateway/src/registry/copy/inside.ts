import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { Agent, buildConnector } from 'undici'
import { Problem } from '#api/problem.ts'
import { isPublicAddress } from '../../public-addresses.ts'
import { registryTls } from '../transport.ts'

const connectMs = 5000
/** A large blob may take the registry long to store after its last byte. */
const answerMs = 300_000
/** The longest pause within a transfer. */
const stallMs = 30_000

/** Hosts of registries, as host or host:port, that the operator names: they may be at inside addresses. */
export type OpenHosts = readonly string[]

/** Why a connection was refused: the name leads to an address that is not public. */
class InsideAddress extends Error {}

/** Throws `image-forbidden` for a host that can only be inside, unless the operator names it. */
export function refuseInside(host: string, open: OpenHosts): void {
  const name = hostname(host)
  const isInside =
    isIP(name) > 0
      ? !isPublicAddress(name)
      : /(?:^|\.)(?:localhost|local|internal|flycast)$/.test(name)
  if (isInside && !open.includes(host)) throw insideRegistry(host)
}

/** What to say of a failed connection. Null: it did not fail for this reason. */
export function insideProblem(host: string, error: unknown): Problem | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof InsideAddress) return insideRegistry(host)
  return null
}

const insideRegistry = (host: string) =>
  new Problem(
    'image-forbidden',
    `${host} is at an address inside a private network, or sends the gateway to one. The gateway takes images from public registries, and from those that its operator lists in TARMAC_PRIVATE_REGISTRIES.`,
    { facts: { registry: host } },
  )

/**
 * Connects to public addresses only, and to the hosts that the operator names. The address is
 * checked where the connection is made, so a name that changes its address gains nothing.
 */
export function publicAgent(open: OpenHosts): Agent {
  const shared = { timeout: connectMs, secureContext: registryTls() }
  const anywhere = buildConnector(shared)
  const outside = buildConnector({ ...shared, lookup: publicLookup })
  return new Agent({
    headersTimeout: answerMs,
    bodyTimeout: stallMs,
    connect(options, callback) {
      const { hostname: name, port, protocol } = options
      const full =
        port && port !== (protocol === 'https:' ? '443' : '80') ? `${name}:${port}` : name
      if (open.includes(full)) anywhere(options, callback)
      else if (isIP(bare(name)) > 0 && !isPublicAddress(bare(name)))
        callback(new InsideAddress(full), null)
      else outside(options, callback)
    },
  })
}

/** As the resolver of the machine, without the addresses inside. */
const publicLookup: LookupFunction = (name, options, callback) => {
  dnsLookup(name, { ...options, all: true }, (error, found) => {
    if (error) return callback(error, '', 0)
    const usable = found.filter(({ address }) => isPublicAddress(address))
    const [first] = usable
    if (!first) return callback(new InsideAddress(name), '', 0)
    if (options.all) return callback(null, usable satisfies LookupAddress[])
    callback(null, first.address, first.family)
  })
}

const bare = (name: string) => name.replace(/^\[(.*)\]$/, '$1')
/** The name without the port: `[::1]:5000` is `::1`. */
const hostname = (host: string) => bare(host.replace(/:\d+$/, '')).toLowerCase().replace(/\.$/, '')
