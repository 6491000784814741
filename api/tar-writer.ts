import { Header } from 'tar/header'
import { Pax } from 'tar/pax'

const blockBytes = 512
/** From this length on, `Header` divides or cuts a name. */
const longName = 100
/** From this size on, `Header` writes a size in binary, which not every reader knows. */
const largeBytes = 8 ** 11

export type TarEntry =
  | { type: 'file'; path: string; mode: number; sizeBytes: number }
  | { type: 'folder'; path: string }
  | { type: 'link'; path: string; target: string }

/**
 * The header of an entry: ustar, after a pax header for the values that ustar cannot hold. The
 * owner is 0 and the caller gives one time for all entries, so the same tree gives the same
 * archive.
 */
export function tarHeader(entry: TarEntry, time: Date): Buffer {
  const pax = paxOf(entry)
  const header = new Header({
    path: short(nameOf(entry)),
    uid: 0,
    gid: 0,
    size: contentBytes(entry),
    mtime: time,
    ...kinds[entry.type],
    ...(entry.type === 'file' && { mode: entry.mode }),
    ...(entry.type === 'link' && { linkpath: short(entry.target) }),
  })
  const block = Buffer.alloc(blockBytes)
  header.encode(block)
  return pax ? Buffer.concat([pax.encode(), block]) : block
}

/** The zeros after the content of a file. */
export const tarPadding = (sizeBytes: number): Buffer => tarEnd.subarray(0, padding(sizeBytes))

/** The end of an archive. */
export const tarEnd = Buffer.alloc(2 * blockBytes)

/** The size of the archive of these entries in bytes. */
export function tarBytes(entries: readonly TarEntry[]): number {
  let total = tarEnd.length
  for (const entry of entries) {
    const sizeBytes = contentBytes(entry)
    total += blockBytes + sizeBytes + padding(sizeBytes)
    const pax = paxOf(entry)
    if (pax) total += pax.encode().length
  }
  return total
}

const kinds = {
  file: { type: 'File' },
  folder: { type: 'Directory', mode: 0o755 },
  link: { type: 'SymbolicLink', mode: 0o777 },
} as const

/** Null if ustar holds all values of an entry, and all readers read them the same way. */
function paxOf(entry: TarEntry): Pax | null {
  const [path, size] = [nameOf(entry), contentBytes(entry)]
  const linkpath = entry.type === 'link' ? entry.target : ''
  const more = {
    ...(!fits(path) && { path }),
    ...(!fits(linkpath) && { linkpath }),
    ...(size >= largeBytes && { size }),
  }
  return Object.keys(more).length > 0 ? new Pax(more) : null
}

const nameOf = ({ type, path }: TarEntry) => (type === 'folder' ? `${path}/` : path)
const contentBytes = (entry: TarEntry) => (entry.type === 'file' ? entry.sizeBytes : 0)
const padding = (sizeBytes: number) => -sizeBytes & (blockBytes - 1)
/** A name for ustar. A pax header has the whole one. */
const short = (name: string) => name.slice(0, longName - 1)
/** The names in a ustar header are ASCII. */
const fits = (name: string) =>
  // oxlint-disable-next-line no-control-regex -- a NUL would end the name
  name.length < longName && /^[\x01-\x7f]*$/.test(name)
