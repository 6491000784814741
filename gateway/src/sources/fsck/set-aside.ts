import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { namesIn } from '../unless-gone.ts'

/** Where `fsck` puts trees that it could not make whole, below the volume. */
export const setAsideFolder = 'set-aside'

const keptSeconds = 7 * 86_400

/** The name of a tree there: it ends with the seconds since 1970. */
export const setAsideName = (hex: string, nowMs = Date.now()): string =>
  `${hex}-${Math.floor(nowMs / 1000)}`

/** Removes what has been there for a week. */
export function sweepSetAside(volume: string, nowMs = Date.now()): void {
  const folder = join(volume, setAsideFolder)
  for (const name of namesIn(folder))
    if (Number(name.split('-').at(-1)) + keptSeconds < nowMs / 1000)
      rmSync(join(folder, name), { recursive: true, force: true })
}
