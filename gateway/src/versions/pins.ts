import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type FromLine, fullName, imagesOf, pinnedIn, SourcePolicy } from '#api/image/pins.ts'

/** The images of the appliance, with the digest of each that is pinned. */
export function applianceImages(root: string): (FromLine & { digest: string | null })[] {
  const read = (file: string) => readFileSync(join(root, 'gateway', file), 'utf8')
  const digests = pinnedIn(SourcePolicy.parse(JSON.parse(read('pins.json'))))
  return imagesOf(read('Dockerfile')).map((line) => ({
    ...line,
    digest: digests.get(fullName(line.image)) ?? null,
  }))
}
