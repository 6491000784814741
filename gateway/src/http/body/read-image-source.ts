import { ImageSource } from '#api/image-source.ts'
import { Problem } from '#api/problem.ts'

const kinds = ['image', 'deployment', 'release'] as const
/** Kinds that the gateway does not accept yet. */
const later = ['git', 'upload', 'tree']

/** The `source` of a JSON body: exactly one kind. */
export function readImageSource(source: unknown): ImageSource {
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

  const parsed = ImageSource.safeParse(source)
  if (parsed.success) return parsed.data
  throw refused(
    'source is {"image": "ghcr.io/acme/shop:v3"}, {"deployment": "<id>"}, {"release": 3} or {"release": "newest"}, a release with "app" and "owner" for another target’s.',
  )
}

const refused = (detail: string) => new Problem('request-invalid', detail)
