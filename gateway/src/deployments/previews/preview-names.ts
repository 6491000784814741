import { createHmac, randomBytes } from 'node:crypto'
import { trimEnd } from '#api/text/trim-end.ts'

/** Digits and letters that cannot be mistaken for each other: 32, so that each byte counts the same. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const markChars = 4
const randomChars = 8
/** Fly's limit for the name of an app. */
const appChars = 63

/**
 * The beginning of the ids of this gateway's previews. By it the gateway knows its own apps on Fly,
 * also when their records are lost. `key`: that of the volume.
 */
export const markOf = (key: Uint8Array): string =>
  textOf(createHmac('sha256', key).update('previews').digest().subarray(0, markChars))

/** `pv-7k2m9x0c4d1e` */
export const newPreviewId = (mark: string): string =>
  `pv-${mark}${textOf(randomBytes(randomChars))}`

const textOf = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => alphabet[byte % alphabet.length]).join('')

/** The name of a preview's own app on Fly: people see whose it is, and no other app has it. */
export const flyAppOf = ({ id, app }: { id: string; app: string }): string =>
  `${trimEnd(app.slice(0, appChars - id.length - 1), '-')}-${id}`

/** The id of the preview whose app on Fly has this name. Null: it is no preview's. */
export const previewIdIn = (flyApp: string): string | null =>
  /-(pv-[0-9a-hjkmnp-tv-z]{12})$/.exec(flyApp)?.[1] ?? null

export const hasMark = (id: string, mark: string): boolean => id.startsWith(`pv-${mark}`)
