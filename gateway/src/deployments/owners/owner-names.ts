import { createHmac } from 'node:crypto'
import { lettersOf, nameEndingWith } from '../app/app-names.ts'

const letters = 12

/**
 * The name of the app on Fly that an owner of an app has for itself: `shop-ada-ow-7k2m9x0c4d1e`. It
 * is always the same, also after the records are lost, and nobody else can foresee it. `key`: that of
 * the volume.
 */
export function ownerAppName(
  key: Uint8Array,
  { app, owner }: { app: string; owner: string },
): string {
  const digest = createHmac('sha256', key).update(`owner\0${app}\0${owner}`).digest()
  return nameEndingWith(`ow-${lettersOf(digest.subarray(0, letters))}`, `${app}-${owner}`)
}
