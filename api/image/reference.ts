import { Problem } from '../problem.ts'
import { registryHost } from '../registries/address.ts'

/**
 * A name of an image in full, as docker reads it. Without a digest there is a tag. With both the
 * digest decides.
 */
export type ImageReference = {
  host: string
  repository: string
  tag: string | null
  digest: string | null
}

const maxNameChars = 255
const maxReferenceChars = 500
const label = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?'
const hostShape = new RegExp(`^(?:${label}(?:\\.${label})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]{1,5})?$`)
const partShape = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const tagShape = /^\w[\w.-]{0,127}$/
const digestShape = /^sha256:[a-f0-9]{64}$/

/**
 * Reads a reference as docker does: without a host it is of docker.io, there without a folder of
 * `library`, and without tag and digest its tag is `latest`. Throws `option-invalid` with the part
 * that is wrong. Source of the grammar: distribution/reference, `reference.go`.
 */
export function parseReference(text: string): ImageReference {
  if (text.length > maxReferenceChars)
    throw invalid(text, `it is longer than ${maxReferenceChars} characters`)
  if (text === '' || text !== text.trim())
    throw invalid(text, 'it is empty, or has spaces around it')
  if (text.includes('://'))
    throw invalid(text, `a reference has no “${text.split('://', 1)[0]}://”. Leave that out`)

  const [named = '', digest = null, ...others] = text.split('@')
  if (others.length > 0) throw invalid(text, 'it has two digests')
  if (digest !== null && !digestShape.test(digest))
    throw invalid(text, 'its digest is not sha256: and 64 lower-case hexadecimal digits')

  const { name, tag } = splitTag(named)
  if (tag !== null && !tagShape.test(tag))
    throw invalid(text, 'its tag is not 1 to 128 letters, digits, _, . and -')

  const { host, repository } = splitHost(name)
  if (!hostShape.test(host)) throw invalid(text, `“${host}” is not the name of a registry`)
  if (`${host}/${repository}`.length > maxNameChars)
    throw invalid(text, `its name is longer than ${maxNameChars} characters`)
  if (/^[a-f0-9]{64}$/.test(name)) throw invalid(text, 'it is an id. Name the repository')
  const wrong = repository.split('/').find((part) => !partShape.test(part))
  if (wrong !== undefined) throw invalid(text, whyNot(wrong))

  return { host, repository, tag: tag ?? (digest === null ? 'latest' : null), digest }
}

export function referenceText({ host, repository, tag, digest }: ImageReference): string {
  return `${host}/${repository}${tag === null ? '' : `:${tag}`}${digest === null ? '' : `@${digest}`}`
}

/** A colon after the last slash begins a tag. Before it a colon is of the host's port. */
function splitTag(named: string): { name: string; tag: string | null } {
  const colon = named.lastIndexOf(':')
  if (colon <= named.lastIndexOf('/')) return { name: named, tag: null }
  return { name: named.slice(0, colon), tag: named.slice(colon + 1) }
}

/** The first part is a host if it looks like one. Else it is a folder at Docker Hub. */
function splitHost(name: string): { host: string; repository: string } {
  const slash = name.indexOf('/')
  const first = slash < 0 ? '' : name.slice(0, slash)
  const isHost = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase()
  const [given, rest] = isHost ? [first, name.slice(slash + 1)] : ['docker.io', name]
  const host = registryHost(given)
  const isOfHub = host === 'docker.io' && !rest.includes('/')
  return { host, repository: isOfHub ? `library/${rest}` : rest }
}

function whyNot(part: string): string {
  if (part === '') return 'a part of its name is empty'
  if (partShape.test(part.toLowerCase()))
    return `“${part}” has capital letters. Write ${part.toLowerCase()}`
  return `“${part}” is not lower-case letters and digits, with ., _ or - between them`
}

const invalid = (text: string, why: string): Problem =>
  new Problem(
    'option-invalid',
    `“${text.slice(0, 200)}” is not a reference to an image: ${why}. References are like nginx:1.27, ghcr.io/acme/shop:v3 or ghcr.io/acme/shop@sha256:….`,
    { facts: { option: 'source.image' } },
  )
