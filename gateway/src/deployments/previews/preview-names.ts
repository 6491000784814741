import { randomBytes } from 'node:crypto'

/** Digits and letters that cannot be mistaken for each other: 32, so that each byte counts the same. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const randomChars = 12
/** Fly's limit for the name of an app. */
const appChars = 63

/** `pv-7k2m9x0c4d1e` */
export const newPreviewId = (): string =>
  `pv-${[...randomBytes(randomChars)].map((byte) => alphabet[byte % alphabet.length]).join('')}`

/** The name of a preview's own app on Fly: people see whose it is, and no other app has it. */
export const flyAppOf = ({ id, app }: { id: string; app: string }): string =>
  `${app.slice(0, appChars - id.length - 1).replace(/-+$/, '')}-${id}`

/** Whether an app on Fly has such a name. */
export const isFlyApp = (name: string): boolean => /-pv-[0-9a-hjkmnp-tv-z]{12}$/.test(name)
