import { cleanPath, isOutside } from '#api/text/clean-path.ts'
import type { Values } from '../flags.ts'
import { wrongUse } from '../option.ts'
import { bestCompression, type Compression, compressions, isKnownHere } from './compression.ts'

/** What the options of a command say of the folder that it sends. */
export type FolderOptions = {
  /** The folder of the app in the folder that is sent. Null: they are the same. */
  root: string | null
  /** Paths in the folder that are sent whatever ignore files say. */
  include: string[]
  noIgnore: boolean
  compression: Compression
  /** Show what would be sent, and send nothing. */
  dryRun: boolean
}

export const readFolderOptions = (values: Values): FolderOptions => ({
  root: values.root === undefined ? null : rootInside(values.root),
  include: (values.include ?? []).map((path) => pathInside('include', path)),
  noIgnore: values['no-ignore'],
  compression: values.compress === undefined ? bestCompression : compressionOf(values.compress),
  dryRun: values['dry-run'],
})

/** A path inside the folder, as the entries of a source have it. */
function pathInside(option: 'include' | 'root', path: string): string {
  const cleaned = cleanPath(path)
  if (cleaned !== '.' && !isOutside(cleaned)) return cleaned
  const example = option === 'include' ? 'dist' : 'apps/web'
  throw wrongUse(`--${option} is given a path inside the folder, like ${example}, not ${path}.`)
}

/** Null for the folder itself. */
const rootInside = (path: string): string | null =>
  cleanPath(path) === '.' ? null : pathInside('root', path)

function compressionOf(text: string): Compression {
  const known = compressions.find((each) => each === text)
  if (known === undefined)
    throw wrongUse(`--compress is ${compressions.slice(0, -1).join(', ')} or none, not ${text}.`)
  if (isKnownHere(known)) return known
  throw wrongUse(
    `--compress ${known} needs Node 22.15 or newer; this one is ${process.version}. Use gzip.`,
  )
}
