import { Problem } from '../problem.ts'

/** What a login at a registry is for: the registry, and a beginning of its repositories or ''. */
export type RegistryAddress = { host: string; prefix: string }

/** Names of Docker Hub. Docker itself keeps the login under `index.docker.io`. */
const dockerHub = new Set([
  'docker.io',
  'index.docker.io',
  'registry-1.docker.io',
  'registry.hub.docker.com',
  'hub.docker.com',
])

/**
 * One name for a registry: of `https://index.docker.io/v1/` and `registry-1.docker.io` it is
 * `docker.io`, and without the default port.
 */
export function registryHost(text: string): string {
  const host = text
    .replace(/^https?:\/\//, '')
    .split('/', 1)[0]!
    .toLowerCase()
    .replace(/:443$/, '')
  return dockerHub.has(host) ? 'docker.io' : host
}

/** The host that answers for a registry. */
export const apiHost = (host: string): string =>
  host === 'docker.io' ? 'registry-1.docker.io' : host

const hostShape = /^(?:[a-z\d][a-z\d.-]{0,252}|\[[\da-f:]{2,39}\])(?::\d{1,5})?$/
const segmentShape = /^[a-z\d][a-z\d._-]{0,127}$/

/** Reads `ghcr.io` or `ghcr.io/velocity`. Throws `registry-invalid`. */
export function readAddress(text: string): RegistryAddress {
  const shown = text.slice(0, 300)
  if (text.length > 500) throw invalid(`${shown}… is too long.`)
  if (/^http:/i.test(text))
    throw invalid(
      `${shown} is not encrypted. Leave http:// out; a registry that speaks plain HTTP is named in TARMAC_PLAIN_HTTP by the gateway’s operator.`,
    )
  const [first = '', ...rest] = text
    .trim()
    .replace(/^https:\/\//i, '')
    .split('/')
  const segments = rest.at(-1) === '' ? rest.slice(0, -1) : rest
  const isHost = /[.:]/.test(first) || first === 'localhost'
  const host = registryHost(first)
  if (!isHost || !hostShape.test(host))
    throw invalid(
      `${shown} has no registry. Give its host, and after it a beginning of repositories: ghcr.io, ghcr.io/acme${isHost ? '' : `, docker.io/${shown}`}.`,
    )
  // The address of the API, as https://index.docker.io/v1/, which is Docker's own name of its login.
  const isApi = /^v[12]$/.test(segments.join('/'))
  const parts = isApi ? [] : segments
  const wrong = parts.find((part) => !segmentShape.test(part))
  if (wrong !== undefined)
    throw invalid(
      `${shown} is no registry with a beginning of repositories: "${wrong.slice(0, 100)}" cannot be a part of a repository’s name. Parts have small letters, digits and . _ -; leave tags and digests out.`,
    )
  return { host, prefix: parts.join('/') }
}

export const addressText = ({ host, prefix }: RegistryAddress): string =>
  prefix === '' ? host : `${host}/${prefix}`

/** Whether a repository is the prefix or below it, by whole segments. '' holds all. */
export const holdsRepository = (prefix: string, repository: string): boolean =>
  prefix === '' || repository === prefix || repository.startsWith(`${prefix}/`)

const invalid = (why: string) =>
  new Problem('registry-invalid', `The address cannot be used. ${why}`)
