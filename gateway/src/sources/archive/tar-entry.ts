import { Problem } from '#api/problem.ts'
import { leaveOut } from './advice.ts'
import type { Pax } from './pax.ts'
import { ambiguous, blockBytes, corrupt, type Header, isZero } from './tar-header.ts'

/** One entry as the archive has it. `path` and `target` are valid UTF-8 and otherwise unchecked. */
export type TarEntry = {
  type: 'file' | 'folder' | 'link' | 'hard-link'
  path: string
  target: string
  executable: boolean
  /** With its holes, if it is a sparse file. */
  sizeBytes: number
}

/** What the extended headers before an entry say about it. */
export type Extended = { pax: Pax | null; path: Buffer | undefined; target: Buffer | undefined }

const types: Record<string, TarEntry['type']> = {
  0: 'file',
  7: 'file',
  S: 'file',
  5: 'folder',
  2: 'link',
  1: 'hard-link',
}

/** What other types are, and what to do about them. */
const refusals: Record<string, string> = {
  3: 'It is a character device.',
  4: 'It is a block device.',
  6: 'It is a pipe (fifo).',
  D: 'It is part of an incremental backup by GNU tar, which may hold only what changed. Pack without --listed-incremental (-g) and --incremental (-G).',
  M: 'It is the rest of a file from another volume. Pack without --multi-volume (-M).',
  V: 'It is a volume label with content, which no tar program writes.',
}
/** These have no other remedy. */
const special = new Set(['3', '4', '6'])

/** Whether all tar readers agree where the content of an entry ends, also of one that is refused. */
export const hasClearEnd = ({ type, format, sizeBytes }: Header): boolean =>
  special.has(type) ? sizeBytes === 0 : type !== 'S' || format === 'gnu'

/** Checks the header of an entry against its extended headers. The content is read elsewhere. */
export function tarEntry(header: Header, extended: Extended & { path: Buffer }): TarEntry {
  const { pax } = extended
  const type = kindOf(header, extended)
  if (pax?.refused != null) throw forbidden(pax.refused, header)
  if (header.ambiguous) throw ambiguous('Its header says more than its format knows.')
  if (pax?.sparse && header.type !== '0' && header.type !== '7')
    throw ambiguous('It is a sparse file by its extended header, and of another type by its own.')

  const path = decode(extended.path)
  const { sizeBytes, executable } = header
  if (type !== 'file' && sizeBytes > 0) throw corrupt('It has content, and is no file.')

  const target =
    type === 'link' || type === 'hard-link'
      ? decode(pax?.linkpath ?? extended.target ?? header.target())
      : ''
  const entry = { type, path, target, executable, sizeBytes }
  if (type !== 'file' || !path.endsWith('/')) return entry

  // In v7 a slash marks a folder. In later formats some readers see a folder, some a file.
  if (header.format !== 'v7' || sizeBytes > 0)
    throw ambiguous('It is a file by its type and a folder by its name.')
  return { ...entry, type: 'folder' }
}

function kindOf(header: Header, { path }: { path: Buffer }): TarEntry['type'] {
  const { type, format } = header
  const kind = types[type]
  if (kind && (type !== 'S' || format === 'gnu')) return kind
  if (kind) throw forbidden('It is a sparse file in the form of star. Pack with GNU tar.', header)
  const detail = refusals[type] ?? `Its type ${JSON.stringify(type)} is none of file, folder, link.`
  if (!special.has(type)) throw forbidden(detail, header)
  throw forbidden(`${detail} A source holds files, folders and links. ${leaveOut(path)}`, header)
}

const forbidden = (detail: string, { type }: Header): Problem =>
  new Problem('archive-type-forbidden', detail, { facts: { type } })

/** A GNU long name ends with a NUL, or with the end of its body. */
export function longName(body: Buffer): Buffer {
  const stop = body.indexOf(0)
  if (stop < 0) return body
  if (!isZero(body.subarray(stop))) throw ambiguous('A long name holds a NUL byte.')
  return body.subarray(0, stop)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
function decode(name: Buffer): string {
  try {
    return utf8.decode(name)
  } catch (cause) {
    const detail = `Its name is not UTF-8. Rename the file, for example with convmv. ${leaveOut(name)}`
    throw new Problem('archive-name-invalid', detail, { cause })
  }
}

export const paddingOf = (sizeBytes: number): number => -sizeBytes & (blockBytes - 1)
