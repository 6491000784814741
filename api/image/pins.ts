import { z } from 'zod'

/**
 * `gateway/pins.json`: a source policy of BuildKit that turns each tag of a FROM line of
 * `gateway/Dockerfile` into a digest. `npm run conformance -- record` fills it. Source:
 * moby/buildkit `sourcepolicy/pb/policy.proto` and `docs/build-repro.md`.
 */
export const SourcePolicy = z.object({
  rules: z.array(
    z.object({
      action: z.literal('CONVERT'),
      selector: z.object({ identifier: z.string() }),
      updates: z.object({ identifier: z.string() }),
    }),
  ),
})

const scheme = 'docker-image://'

/** `FROM` line: the image as the Dockerfile names it, and the stage. */
export type FromLine = { image: string; stage: string | null }

/** The images of a Dockerfile, each once, without its own stages. */
export function imagesOf(dockerfile: string): FromLine[] {
  const lines = [...dockerfile.matchAll(/^FROM\s+(\S+)(?:\s+AS\s+(\S+))?\s*$/gim)]
  const stages = new Set(lines.map(([, , stage]) => stage))
  const found = new Map(
    lines.flatMap(([, image = '', stage]) =>
      stages.has(image) ? [] : [[image, { image, stage: stage ?? null }] as const],
    ),
  )
  return [...found.values()]
}

/** The name as BuildKit writes it: with its registry, `library/` and tag. */
export function fullName(image: string): string {
  const [first = ''] = image.split('/')
  const hasHost = image.includes('/') && /[.:]|^localhost$/.test(first)
  const named = hasHost ? image : `docker.io/${image.includes('/') ? image : `library/${image}`}`
  return named.slice(named.lastIndexOf('/')).includes(':') ? named : `${named}:latest`
}

/** The digest of each pinned image, by its full name. */
export function pinnedIn(policy: z.infer<typeof SourcePolicy>): Map<string, string> {
  const digests = policy.rules.flatMap(({ selector, updates }) => {
    const digest = /@(sha256:[\da-f]{64})$/.exec(updates.identifier)?.[1]
    return digest ? [[selector.identifier.slice(scheme.length), digest] as const] : []
  })
  return new Map(digests)
}

/** A policy that pins these images, by their full name. */
export const policyOf = (digests: ReadonlyMap<string, string>): z.infer<typeof SourcePolicy> => ({
  rules: [...digests].map(([name, digest]) => ({
    action: 'CONVERT',
    selector: { identifier: scheme + name },
    updates: { identifier: `${scheme}${name}@${digest}` },
  })),
})

/** The Dockerfile with the digest of each image that is pinned, beside its tag. */
export function withDigests(dockerfile: string, digests: ReadonlyMap<string, string>): string {
  return dockerfile.replaceAll(/^(FROM\s+)(\S+)/gim, (line, from: string, image: string) => {
    const digest = digests.get(fullName(image))
    return digest ? `${from}${image}@${digest}` : line
  })
}
