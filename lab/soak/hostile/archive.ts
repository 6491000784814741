import { Header, Pax } from 'tar'

/** Entries of a tar archive, including ones that no packer makes. Times and owners are fixed. */
type Entry = {
  path: string
  content?: string | Buffer
  type?: 'File' | 'Directory' | 'SymbolicLink'
  target?: string
}

const block = 512
const mtime = new Date(1_700_000_000_000)
const padded = (bytes: Buffer): Buffer =>
  Buffer.concat([bytes, Buffer.alloc(-bytes.length & (block - 1))])

/** A whole archive. Paths that ustar cannot hold get a pax header. */
export const archiveOf = (entries: Iterable<Entry>): Buffer =>
  Buffer.concat([...Array.from(entries, entryBytes), Buffer.alloc(2 * block)])

/** Files by their paths. */
export const filesOf = (files: Record<string, string | Buffer>): Buffer =>
  archiveOf(Object.entries(files).map(([path, content]) => ({ path, content })))

function entryBytes({ path, content = '', type = 'File', target }: Entry): Buffer {
  const body = Buffer.from(content as string)
  const fields = {
    path,
    type,
    mtime,
    size: body.length,
    mode: type === 'Directory' ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
  }
  const header = new Header({ ...fields, ...(target !== undefined && { linkpath: target }) })
  const bytes = Buffer.alloc(block)
  const needsPax = header.encode(bytes, 0)
  const pax = needsPax
    ? new Pax({ path, ...(target !== undefined && { linkpath: target }) }).encode()
    : Buffer.alloc(0)
  return Buffer.concat([pax, bytes, padded(body)])
}
