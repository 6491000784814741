import { onLoopback } from './plain-http.ts'

/** Mirrors to try before a registry, as `host:port/folder`, by the registry's host. */
export type Mirrors = Readonly<Record<string, readonly string[]>>
export type ImagePlace = { host: string; repository: string }

/** The places where the build daemon would look for an image, in its order: the registry itself is last. */
export function placesOf({ host, repository }: ImagePlace, mirrors: Mirrors): ImagePlace[] {
  const before = (mirrors[host] ?? []).map((mirror) => {
    const [mirrorHost = '', ...folders] = mirror.replace(/^https?:\/\//, '').split('/')
    return { host: mirrorHost, repository: [...folders.filter(Boolean), repository].join('/') }
  })
  return [...before, { host, repository }]
}

/**
 * Whether a place is the repository of an app, `own` being the registry of the apps. Their names have
 * no slash, even behind a mirror: `ghcr.io/shop` may be the app shop's.
 */
export function isAppsRepository(
  { host, repository }: ImagePlace,
  { own, mirrors }: { own: string; mirrors: Mirrors },
): boolean {
  const isOwn = [own, ...(mirrors[own] ?? [])].some(
    (address) => plainHost(address) === plainHost(host),
  )
  return isOwn && !repository.includes('/')
}

/**
 * Normalizes a host: without the default port and the final dot, and with one name for this
 * machine.
 */
function plainHost(address: string): string {
  const [host = ''] = address
    .toLowerCase()
    .replace(/^https?:\/\//, '')
    .split('/')
  const [, name = host, port = ''] = /^(\[[^\]]*\]|[^:]*?)\.?(:\d+)?$/.exec(host) ?? []
  const plainPort = [':443', ':80'].includes(port) ? '' : port
  return `${onLoopback(name) ? 'localhost' : name}${plainPort}`
}
