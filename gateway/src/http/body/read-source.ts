import { ImageSource } from '#api/image-source.ts'
import { Problem } from '#api/problem.ts'
import { SentSource } from '#api/sources/sent-source.ts'

const imageKinds = ['image', 'deployment', 'release'] as const
const sentKinds = ['upload', 'tree'] as const
const kinds: readonly string[] = [...imageKinds, ...sentKinds]
/** Kinds that the gateway does not accept yet. */
const later = ['git']

/** The `source` of a JSON body: exactly one kind. `sent`: one that the caller has sent before. */
export function readSource(
  source: unknown,
): { image: ImageSource; sent?: never } | { sent: SentSource; image?: never } {
  const names = typeof source === 'object' && source !== null ? Object.keys(source) : []
  const [kind, other] = names.filter((name) => [...kinds, ...later].includes(name))

  if (kind === undefined)
    throw refused(
      `source is an object with one of ${kinds.join(', ')}; an archive is sent as the body itself.`,
    )
  if (other !== undefined) throw refused(`source names both ${kind} and ${other}; choose one.`)
  if (later.includes(kind))
    throw refused(
      `The gateway does not accept source.${kind} yet. It accepts ${kinds.join(', ')}, or an archive as the body.`,
    )

  if (sentKinds.some((each) => each === kind)) {
    const sent = SentSource.safeParse(source)
    if (sent.success) return { sent: sent.data }
    throw refused(
      'source is {"upload": "<id>"}, with the last part of the Location of a finished upload, or {"tree": "sha256:<64 hex digits>"}, a tree that the app has sent.',
    )
  }
  return { image: readImageSource(source) }
}

/** A source that is an existing image. */
export function readImageSource(source: unknown): ImageSource {
  const parsed = ImageSource.safeParse(source)
  if (parsed.success) return parsed.data
  throw refused(
    'source is {"image": "ghcr.io/acme/shop:v3"}, {"deployment": "<id>"}, {"release": 3} or {"release": "newest"}, a release with "app" and "owner" for another target’s.',
  )
}

const refused = (detail: string) => new Problem('request-invalid', detail)
