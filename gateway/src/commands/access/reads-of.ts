import type { ImageSource } from '#api/image-source.ts'
import type { SentSource } from '#api/sources/sent-source.ts'
import { noDeployment } from '../deployments.ts'
import { imageGone } from '../existing-image.ts'
import { noApp } from './row-kinds.ts'
import type { Lookups, Reached } from './row.ts'

/** What a deployment of an existing image reads: of another app, or of another owner in this one. */
export async function readsOf(source: ImageSource, find: Lookups): Promise<Reached[]> {
  if ('image' in source) {
    const app = find.appOfImage(source.image)
    return app === null ? [] : [{ app, scope: 'read', missing: imageGone(source.image) }]
  }
  if ('deployment' in source) {
    const found = await find.deployment(source.deployment)
    return found ? [{ ...found, scope: 'read', missing: noDeployment(source.deployment) }] : []
  }
  const { app, owner = null } = source
  return app === undefined ? [] : [{ app, owner, scope: 'read', missing: noApp(app) }]
}

/** A tree is the whole app's, whichever owner it was sent for. */
export const ofSent = (app: string, source: SentSource): Reached[] =>
  'tree' in source ? [{ app, owner: null }] : []
