/** The grammar of image references, as in the registries' own library (distribution/reference). */
const label = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])'
const host = `(?:${label}(?:\\.${label})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`
const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const path = `${component}(?:/${component})*`
const tag = '[\\w][\\w.-]{0,127}'
const digest = 'sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}'
const reference = new RegExp(
  `^(?:(?:${host})/)?(?<path>${path})(?<tag>:${tag})?(?<digest>@(?:${digest}))?$`,
)

/** More than any image reference has: a name of 255 characters, a tag and the longest digest. */
const maxChars = 1024

/**
 * The full name of an image (`node` → `docker.io/library/node:latest`). Null: the text is not a
 * valid name.
 */
export function imageName(text: string): string | null {
  if (text.length > maxChars) return null
  const [first = '', ...others] = text.split('/')
  const isHost =
    others.length > 0 &&
    (first === 'localhost' || /[.:]/.test(first) || first !== first.toLowerCase())
  const domain = isHost && first !== 'index.docker.io' ? first : 'docker.io'
  const rest = isHost ? others.join('/') : text
  const full = `${domain}/${domain === 'docker.io' && !rest.includes('/') ? 'library/' : ''}${rest}`
  const parts = reference.exec(full)?.groups
  if (!parts || (parts['path']?.length ?? 0) > 255 || /^[a-f0-9]{64}$/.test(text)) return null
  return (parts['tag'] ?? parts['digest']) ? full : `${full}:latest`
}
