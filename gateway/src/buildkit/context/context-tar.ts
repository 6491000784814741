import type { TreeEntry } from '#api/tree.ts'

const block = 512
/** The end of an archive. */
export const tarEnd = Buffer.alloc(2 * block)

const padding = (sizeBytes: number): number => -sizeBytes & (block - 1)
const contentBytes = (entry: TreeEntry): number => (entry.type === 'file' ? entry.sizeBytes : 0)

/** The zeros after the content of a file. */
export const tarPadding = (sizeBytes: number): Buffer => tarEnd.subarray(0, padding(sizeBytes))

/** The size of the archive in bytes, computed before the first byte is sent. */
export function tarBytes(entries: readonly TreeEntry[]): number {
  let total = tarEnd.length
  for (const entry of entries) {
    const sizeBytes = contentBytes(entry)
    const more = paxOf(entry)
    total +=
      block +
      sizeBytes +
      padding(sizeBytes) +
      (more ? block + more.length + padding(more.length) : 0)
  }
  return total
}

/**
 * The header of an entry: ustar, with a pax header before it if ustar cannot hold the values. The
 * owner is 0, the modes are fixed, and all files have one time. So the same tree gives the same
 * archive, and no file looks older than another.
 */
export function tarHeader(entry: TreeEntry, mtimeSeconds: number): Buffer {
  const more = paxOf(entry)
  const header = ustar(entry, mtimeSeconds)
  if (!more) return header
  const pax = {
    type: 'file',
    path: 'PaxHeader',
    mode: 0o644,
    sizeBytes: more.length,
    sha256: '',
  } as const
  return Buffer.concat([ustar(pax, mtimeSeconds, 'x'), more, tarPadding(more.length), header])
}

/**
 * A time that depends only on the tree: web servers derive ETags from file times. It is in 2020 or
 * 2021.
 */
export function tarTimeSeconds(treeDigest: string): number {
  return 1_577_836_800 + (Number.parseInt(treeDigest.slice(-8), 16) % 63_000_000)
}

const kinds = { file: '0', link: '2', folder: '5' }

function ustar(entry: TreeEntry, mtimeSeconds: number, kind = kinds[entry.type]): Buffer {
  const header = Buffer.alloc(block)
  const { name, prefix } = ustarName(entry) ?? { name: 'long', prefix: '' }
  const octal = (value: number, digits: number, at: number) =>
    header.write(`${value.toString(8).padStart(digits, '0')}\0`, at, 'latin1')

  header.write(name, 0, 'latin1')
  octal(entry.type === 'file' ? entry.mode : entry.type === 'folder' ? 0o755 : 0o777, 7, 100)
  octal(0, 7, 108)
  octal(0, 7, 116)
  octal(contentBytes(entry) > maxUstarBytes ? 0 : contentBytes(entry), 11, 124)
  octal(mtimeSeconds, 11, 136)
  header.write(`        ${kind}`, 148, 'latin1')
  if (entry.type === 'link')
    header.write(fits(entry.target, 100) ? entry.target : 'long', 157, 'latin1')
  header.write('ustar\x0000', 257, 'latin1')
  octal(0, 7, 329)
  octal(0, 7, 337)
  header.write(prefix, 345, 'latin1')

  let sum = 0
  for (const byte of header) sum += byte
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

const maxUstarBytes = 8 ** 11 - 1
const fits = (text: string, max: number): boolean =>
  // oxlint-disable-next-line no-control-regex -- ustar holds ASCII only
  text.length <= max && /^[\x01-\x7f]*$/.test(text)

/** Splits a long path at a slash. Null if the parts are still too long. */
function ustarName(entry: TreeEntry): { name: string; prefix: string } | null {
  const path = entry.type === 'folder' ? `${entry.path}/` : entry.path
  if (!fits(path, 256)) return null
  if (path.length <= 100) return { name: path, prefix: '' }
  const cut = path.indexOf('/', path.length - 101)
  if (cut < 1 || cut > 155 || cut === path.length - 1) return null
  return { name: path.slice(cut + 1), prefix: path.slice(0, cut) }
}

function paxOf(entry: TreeEntry): Buffer | null {
  const records: string[] = []
  if (!ustarName(entry))
    records.push(paxRecord('path', entry.type === 'folder' ? `${entry.path}/` : entry.path))
  if (entry.type === 'link' && !fits(entry.target, 100))
    records.push(paxRecord('linkpath', entry.target))
  if (contentBytes(entry) > maxUstarBytes)
    records.push(paxRecord('size', String(contentBytes(entry))))
  return records.length > 0 ? Buffer.from(records.join('')) : null
}

/** `<length> key=value\n`, where the length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + String(rest).length
  if (rest + String(length).length > length) length += 1
  return `${length} ${key}=${value}\n`
}
