export type ImageRef = {
  registry: string
  repository: string
  tag: string
  digest: string
  labels: Record<string, string>
}

/** Parses `host/repository[:tag][@digest]`. Without a host the image is Docker Hub's. */
export function parseImage(image: string): ImageRef {
  const [named = '', digest = ''] = image.split('@')
  const slash = named.indexOf('/')
  const host = named.slice(0, Math.max(slash, 0))
  const hasHost = /[.:]/.test(host) || host === 'localhost'
  const path = hasHost ? named.slice(slash + 1) : named
  const [repository = '', tag = ''] = path.split(':')
  return {
    registry: hasHost ? host : 'docker.io',
    repository: hasHost || repository.includes('/') ? repository : `library/${repository}`,
    tag: tag || (digest ? '' : 'latest'),
    digest,
    labels: {},
  }
}

const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ')

/** Resolves the image to a digest at the lab's registry, which represents every registry. */
export async function resolveImage(image: ImageRef, registry: string): Promise<ImageRef> {
  if (image.digest) return image
  const answer = await fetch(`http://${registry}/v2/${image.repository}/manifests/${image.tag}`, {
    method: 'HEAD',
    headers: { accept: manifestTypes },
    signal: AbortSignal.timeout(10_000),
  })
  const digest = answer.headers.get('docker-content-digest')
  if (!answer.ok || !digest) throw new Error(`${image.repository}:${image.tag}: manifest unknown`)
  return { ...image, digest }
}
