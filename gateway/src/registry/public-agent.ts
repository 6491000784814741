import { lookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { type Agent, buildConnector } from 'undici'
import { Problem } from '#api/problem.ts'
import { registryHost } from '#api/registries/address.ts'
import { isPublicAddress } from './public-addresses.ts'
import { connectOptions, registryAgent } from './transport.ts'

type Named = {
  registry: string
  plainHttp: readonly string[]
  images: { allowed: readonly string[] }
  buildkit: { mirrors: Readonly<Record<string, readonly string[]>> }
}

/**
 * The hosts, as `host` or `host:port`, that the operator's settings name as registries. They may be
 * at private addresses.
 */
export function namedHosts({ registry, plainHttp, images, buildkit }: Named): ReadonlySet<string> {
  const all = [registry, ...plainHttp, ...images.allowed, ...Object.values(buildkit.mirrors).flat()]
  return new Set([...all, ...Object.keys(buildkit.mirrors)].map(keyOf))
}

/**
 * Connections to registries that callers name. Each connection, also to a token server or after a
 * redirect, is refused with `registry-address-forbidden` if it would reach an address that is not
 * public, unless `named` has its host. The name is resolved once, and only the address that was
 * checked is used.
 */
export function publicAgent(named: ReadonlySet<string>): Agent {
  const connectFreely = buildConnector(connectOptions())
  const connectPublicly = buildConnector({ ...connectOptions(), lookup: publicLookup })
  return registryAgent((options, done) => {
    const { port, protocol } = options
    const literal = options.hostname.replace(/^\[(.*)\]$/, '$1')
    const hostname = isIP(literal) === 6 ? `[${literal}]` : literal
    const usual = protocol === 'http:' ? '80' : '443'
    const names = [`${hostname}:${port || usual}`, ...(!port || port === usual ? [hostname] : [])]
    if (names.some((name) => named.has(keyOf(name)))) return connectFreely(options, done)

    if (isIP(literal) && !isPublicAddress(literal))
      return done(notPublic(names.at(-1) ?? hostname), null)
    connectPublicly(options, done)
  })
}

/**
 * Throws `registry-address-forbidden` for a host that is certainly not public: this machine, or a
 * private IP address. What a name resolves to, `publicAgent` checks.
 */
export function assertMayBePublic(host: string, named: ReadonlySet<string>): void {
  if (named.has(keyOf(host))) return
  const name = URL.parse(`https://${host}/`)?.hostname ?? host
  const literal = name.replace(/^\[(.*)\]$/, '$1')
  if (insideName.test(name) || (isIP(literal) !== 0 && !isPublicAddress(literal)))
    throw notPublic(host)
}

/** Names of this machine, of a private network and of Fly's. */
const insideName = /(?:^|\.)(?:localhost|local|internal|flycast)\.?$/
/** One spelling of a host: also an IP address has several. */
function keyOf(text: string): string {
  const host = registryHost(text)
  return URL.parse(`https://${host}/`)?.host ?? host
}

const publicLookup: LookupFunction = (name, options, done) =>
  lookup(name, { ...options, all: true }, (error, found) => {
    if (error) return done(error, [])
    const open = found.filter(({ address }) => isPublicAddress(address))
    const [first] = open
    if (!first) return done(notPublic(name), [])
    if (options.all) done(null, open)
    else done(null, first.address, first.family)
  })

const notPublic = (host: string) =>
  new Problem(
    'registry-address-forbidden',
    `${host.slice(0, 300)} is not at a public address. The gateway uses registries in private networks only if its operator names them in TARMAC_IMAGES.`,
  )
