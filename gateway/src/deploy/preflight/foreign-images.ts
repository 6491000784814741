import { Problem } from '#api/problem.ts'
import type { DesiredApp } from '../config/desired-app.ts'

/**
 * Throws if a machine check of a source names an image of another app in the gateway's own
 * registry. Fly would run it: an organisation's apps share their images.
 */
export function refuseForeignImages(desired: DesiredApp, app: string, registry: string): void {
  const own = `${registry}/${app}`
  for (const { name, machineChecks: checks = [] } of desired.groups)
    for (const { image } of checks) {
      const isOwn = image === own || image?.startsWith(`${own}:`) || image?.startsWith(`${own}@`)
      if (!image?.startsWith(`${registry}/`) || isOwn) continue
      const detail = `A machine check of group ${name} names ${image}, which is an image of another app. Use an image of ${own}, or a public one.`
      throw new Problem('image-forbidden', detail, { facts: { image } })
    }
}
