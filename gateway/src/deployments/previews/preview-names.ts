import { createHmac, randomBytes } from 'node:crypto'
import { lettersOf, nameEndingWith } from '../app/app-names.ts'

const markChars = 4
const randomChars = 8

/**
 * The beginning of the ids of this gateway's previews. By it the gateway knows its own apps on Fly,
 * also when their records are lost. `key`: that of the volume.
 */
export const markOf = (key: Uint8Array): string =>
  lettersOf(createHmac('sha256', key).update('previews').digest().subarray(0, markChars))

/** `pv-7k2m9x0c4d1e` */
export const newPreviewId = (mark: string): string =>
  `pv-${mark}${lettersOf(randomBytes(randomChars))}`

/** The name of a preview's own app on Fly: people see whose it is, and no other app has it. */
export const flyAppOf = ({ id, app }: { id: string; app: string }): string =>
  nameEndingWith(id, app)

/** The id of the preview whose app on Fly has this name. Null: it is no preview's. */
export const previewIdIn = (flyApp: string): string | null =>
  /-(pv-[0-9a-hjkmnp-tv-z]{12})$/.exec(flyApp)?.[1] ?? null

export const hasMark = (id: string, mark: string): boolean => id.startsWith(`pv-${mark}`)

/** Metadata of a machine: the preview that it is. */
export const previewMark = 'tarmac_preview'
/** Whose preview it is. A machine that waits in a pool has no such mark. */
export const previewOwnerMark = 'tarmac_preview_owner'
/** When the preview ends, as its machine says. */
export const previewEndMark = 'tarmac_preview_ends'
