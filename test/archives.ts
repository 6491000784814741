import { gzipSync, zstdCompressSync } from 'node:zlib'
import type { ProblemCode } from '../api/problem/codes.ts'

/**
 * Tar archives made byte by byte, so that they can be wrong in any way. Times and owners are fixed,
 * and random numbers are seeded.
 */

type Fields = {
  name?: string | Buffer
  type?: string
  body?: string | Buffer
  link?: string | Buffer
  mode?: number
  prefix?: string
  magic?: string
  /** The content of the field, when it is not the true size in octal. */
  size?: string | Buffer
  /** The content of other fields. */
  raw?: Record<number, string | Buffer>
  checksum?: string
}

const block = 512
const pad = (body: Buffer): Buffer =>
  Buffer.concat([body, Buffer.alloc(-body.length & (block - 1))])
const octal = (value: number, length: number): string =>
  `${value.toString(8).padStart(length - 1, '0')}\0`

/** One entry: its header and its padded body. */
export function entry(fields: Fields = {}): Buffer {
  const body = Buffer.from(fields.body ?? '')
  const header = Buffer.alloc(block)
  const put = (value: string | Buffer, at: number) =>
    Buffer.from(value as string, 'utf8').copy(header, at)
  put(fields.name ?? 'file', 0)
  put(octal(fields.mode ?? 0o644, 8), 100)
  put(octal(1000, 8), 108)
  put(octal(1000, 8), 116)
  put(fields.size ?? octal(body.length, 12), 124)
  put(octal(1_700_000_000, 12), 136)
  put(fields.type ?? '0', 156)
  put(fields.link ?? '', 157)
  put(fields.magic ?? 'ustar\x0000', 257)
  put(fields.prefix ?? '', 345)
  for (const [at, value] of Object.entries(fields.raw ?? {})) put(value, Number(at))
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  put(fields.checksum ?? `${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return Buffer.concat([header, pad(body)])
}

export const folder = (name: string): Buffer => entry({ name, type: '5', mode: 0o755 })
export const link = (name: string, target: string | Buffer): Buffer =>
  entry({ name, type: '2', link: target })
export const hardLink = (name: string, target: string): Buffer =>
  entry({ name, type: '1', link: target })
export const file = (name: string | Buffer, body: string | Buffer = 'x'): Buffer =>
  entry({ name, body })

/** A pax header: `x` for the entry behind it, `g` for all. */
export function pax(records: Record<string, string | Buffer>, type = 'x'): Buffer {
  const lines = Object.entries(records).map(([key, value]) =>
    record(key, Buffer.from(value as string)),
  )
  return entry({ name: 'PaxHeaders/0', type, body: Buffer.concat(lines) })
}
function record(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')])
  let length = rest.length + 1
  while (String(length).length + rest.length !== length)
    length = String(length).length + rest.length
  return Buffer.concat([Buffer.from(String(length)), rest])
}

/** A GNU long name (`L`) or long link target (`K`). */
export const long = (type: 'L' | 'K', name: string): Buffer =>
  entry({ name: '././@LongLink', type, magic: 'ustar  \0', body: `${name}\0` })

export const end = Buffer.alloc(2 * block)
export const tar = (...parts: Buffer[]): Buffer => Buffer.concat([...parts, end])
const binary = (size: bigint, first = 0x80): Buffer => {
  const field = Buffer.alloc(12)
  field.writeBigUInt64BE(size, 4)
  field[0] = first
  return field
}

/** Compressed zeros that are never all in memory: one member, repeated. */
const bomb = (members: number): Buffer => {
  const zeros = Buffer.alloc(16 * 1024 ** 2)
  const first = gzipSync(entry({ name: 'bomb', size: octal(members * zeros.length, 12) }), {
    level: 9,
  })
  return Buffer.concat([
    first,
    ...Array.from({ length: members }, () => gzipSync(zeros, { level: 9 })),
  ])
}

const good = file('a')
const gz = gzipSync(tar(good))
const zst = zstdCompressSync(tar(good))
/** A zstd frame that readers skip. */
const skipped = (bytes: number): Buffer => {
  const head = Buffer.from('5f2a4d1800000000', 'hex')
  head.writeUInt32LE(bytes, 4)
  return Buffer.concat([head, Buffer.alloc(bytes, 'skip')])
}
const changed = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes)
  copy[at < 0 ? copy.length + at : at]! ^= 0x55
  return copy
}
const times = (count: number, make: (i: number) => Buffer): Buffer[] =>
  Array.from({ length: count }, (_, i) => make(i))

const gnuWith = (raw: Record<number, string>): Buffer => entry({ magic: 'ustar  \0', raw })
/** A GNU sparse file: the numbers of its map and its size, in octal, and its stored content. */
const gnuSparse = (
  map: string,
  realSize: string,
  body: string,
  name: string | Buffer = 'a',
): Buffer =>
  entry({
    name,
    type: 'S',
    magic: 'ustar  \0',
    body,
    raw: { 386: map, 483: realSize },
  })
/** A sparse file in form 1.0 of pax, 10 bytes large: the map is before the content. */
const sparse10 = (
  records: Record<string, string>,
  map: string,
  body: string,
  more: Record<string, string> = {},
): Buffer => {
  const all = { major: '1', minor: '0', name: 'a', realsize: '10', ...records }
  const keyed = Object.entries(all).map(([key, value]) => [`GNU.sparse.${key}`, value])
  return Buffer.concat([
    pax({ ...more, ...Object.fromEntries(keyed) }),
    entry({
      name: 'GNUSparseFile.0/a',
      body: Buffer.concat([pad(Buffer.from(map)), Buffer.from(body)]),
    }),
  ])
}
const star = { 508: 'tar\0' }
/** An extended header with text in its body from a byte on, whatever its size says. */
const padded = (header: Buffer, at: number, text: string): Buffer => {
  Buffer.from(text).copy(header, block + at)
  return header
}

/** Small, because the true limits would only make the tests slow. */
export const limits = { entries: 4000, metadataTotalBytes: 1024 ** 2 }

/**
 * A hostile archive and its error code. `bytes` is a function when the archive takes a while to
 * make.
 */
type Hostile = [what: string, code: ProblemCode, bytes: Buffer | (() => Buffer)]

export const hostile: Hostile[] = [
  // Outside the tree
  ['a path that begins with ..', 'archive-path-escape', tar(file('../x'))],
  ['a path that climbs out', 'archive-path-escape', tar(file('a/../../x'))],
  ['a path that climbs and comes back', 'archive-path-escape', tar(file('a/../b'))],
  ['a path that climbs behind ./', 'archive-path-escape', tar(file('./../x'))],
  ['a pax path that climbs', 'archive-path-escape', tar(pax({ path: '../x' }), file('x'))],
  ['a GNU long name that climbs', 'archive-path-escape', tar(long('L', '../x'), file('x'))],
  [
    'a ustar prefix that climbs',
    'archive-path-escape',
    tar(entry({ name: 'x', prefix: '..', body: 'x' })),
  ],
  ['a folder named ..', 'archive-path-escape', tar(good, folder('..'))],
  ['an absolute path', 'archive-path-absolute', tar(file('/etc/x'))],
  ['an absolute path with two slashes', 'archive-path-absolute', tar(file('//x'))],

  ['a path on a drive', 'archive-path-absolute', tar(file('C:\\x'))],
  ['a path on a drive behind ./', 'archive-path-absolute', tar(file('./c:/x'))],
  ['a UNC path', 'archive-path-absolute', tar(file('\\\\?\\x'))],

  // Symbolic links
  ['a link with no target', 'archive-name-invalid', tar(good, link('l', ''))],
  [
    'a link with a target of 5000 bytes',
    'archive-path-too-long',
    tar(good, long('K', 'x/'.repeat(2500)), link('l', 'x')),
  ],
  [
    'a file behind a link that leaves the tree',
    'archive-link-escape',
    tar(link('l', '/etc'), file('l/x')),
  ],
  ['a link behind a link', 'archive-link-escape', tar(good, link('l', '..'), link('l/m', 'x'))],
  [
    'a hard link behind a link',
    'archive-link-escape',
    tar(good, link('l', '..'), hardLink('l/m', 'a')),
  ],
  ['a file behind a link', 'archive-link-escape', tar(folder('d'), link('l', 'd'), file('l/x'))],
  ['a file in the place of a link', 'archive-link-escape', tar(link('l', 'd'), file('l'))],
  [
    'a folder in the place of a link',
    'archive-link-escape',
    tar(good, link('l', 'd'), folder('l')),
  ],
  [
    'a link in the place of a folder',
    'archive-link-escape',
    tar(good, folder('d'), link('d', 'a')),
  ],
  ['a root that is a link', 'archive-link-escape', tar(link('.', 'x'), good)],

  // Hard links
  [
    'a hard link to an absolute path',
    'archive-hardlink-invalid',
    tar(good, hardLink('h', '/etc/passwd')),
  ],
  [
    'a hard link that climbs',
    'archive-hardlink-invalid',
    tar(good, hardLink('h', '../../../etc/passwd')),
  ],
  ['a hard link before its file', 'archive-hardlink-invalid', tar(hardLink('h', 'a'), good)],
  ['a hard link to itself', 'archive-hardlink-invalid', tar(good, hardLink('h', 'h'))],
  [
    'a hard link to a folder',
    'archive-hardlink-invalid',
    tar(good, folder('d'), hardLink('h', 'd')),
  ],
  ['a hard link to the root', 'archive-hardlink-invalid', tar(good, hardLink('h', '.'))],
  ['a hard link that differs in case', 'archive-hardlink-invalid', tar(good, hardLink('h', 'A'))],

  // Entries that are not files
  ['a character device', 'archive-type-forbidden', tar(entry({ type: '3' }))],
  [
    'a pipe that other files share a folder with',
    'archive-type-forbidden',
    tar(file('.dockerignore', 'b\n'), file('b/c'), entry({ name: 'd/pipe', type: '6' })),
  ],
  ['a block device', 'archive-type-forbidden', tar(entry({ type: '4' }))],
  [
    'a pipe named package.json',
    'archive-type-forbidden',
    tar(entry({ name: 'package.json', type: '6' })),
  ],
  ['a type that nobody knows', 'archive-type-forbidden', tar(entry({ type: 'Z' }))],
  ['a socket by some writers', 'archive-type-forbidden', tar(entry({ type: 's' }))],
  [
    'a volume label with content',
    'archive-type-forbidden',
    tar(entry({ type: 'V', body: 'x' }), good),
  ],
  ['a part of another volume', 'archive-type-forbidden', tar(entry({ type: 'M' }), good)],

  ['a GNU sparse file of no size', 'archive-corrupt', tar(gnuSparse('', '', 'x'))],
  [
    'a sparse file by its type, of no GNU tar',
    'archive-type-forbidden',
    tar(entry({ type: 'S' }), good),
  ],
  [
    'a sparse file of star',
    'archive-type-forbidden',
    tar(pax({ 'SCHILY.realsize': '1048576' }), good),
  ],
  [
    'an incremental archive of GNU tar',
    'archive-type-forbidden',
    tar(entry({ name: './', type: 'D', magic: 'ustar  \0', body: 'Ya\0\0' }), good),
  ],
  [
    'an incremental archive of GNU tar, pax',
    'archive-type-forbidden',
    tar(pax({ 'GNU.dumpdir': 'Ya\0\0' }), folder('d/'), good),
  ],
  [
    'a part of an archive in several volumes, pax',
    'archive-type-forbidden',
    tar(pax({ 'GNU.volume.offset': '512' }), good),
  ],

  // Maps of sparse files
  [
    'a sparse file of 1 TiB',
    'archive-too-large',
    tar(sparse10({ realsize: `${2 ** 40}` }, `1\n${2 ** 40 - 1}\n1\n`, 'x')),
  ],
  [
    'a sparse file whose map has a gap before its second header',
    'archive-ambiguous',
    () => tar(sparseInTwo('a', [[0], [50]])),
  ],
  ['a sparse file with no size', 'archive-ambiguous', tar(pax({ 'GNU.sparse.map': '0,1' }), good)],
  [
    'a sparse file of an unknown form',
    'archive-ambiguous',
    tar(sparse10({ major: '2' }, '1\n0\n1\n', 'x')),
  ],
  ['a sparse file with half a map', 'archive-ambiguous', tar(sparse10({}, '2\n0\n1\n', 'x'))],
  [
    'a sparse file with parts that overlap',
    'archive-ambiguous',
    tar(sparse10({}, '2\n0\n9\n4\n9\n', 'x'.repeat(18))),
  ],
  [
    'a sparse file with parts behind its end',
    'archive-ambiguous',
    tar(sparse10({}, '1\n9\n9\n', 'x'.repeat(9))),
  ],
  [
    'a sparse file with too little content',
    'archive-ambiguous',
    tar(sparse10({}, '1\n1\n9\n', 'x')),
  ],
  [
    'a sparse file whose map stops before its end',
    'archive-ambiguous',
    tar(sparse10({}, '1\n0\n1\n', 'x')),
  ],
  [
    'a sparse file with a sign in its map',
    'archive-ambiguous',
    tar(sparse10({}, '1\n-1\n11\n', 'x')),
  ],
  [
    'a sparse file with two names',
    'archive-ambiguous',
    tar(sparse10({ name: 'b' }, '1\n0\n10\n', 'x'.repeat(10), { path: 'c' })),
  ],
  [
    'a folder with the map of a sparse file',
    'archive-ambiguous',
    tar(pax({ 'GNU.sparse.size': '0', 'GNU.sparse.numblocks': '0' }), folder('d')),
  ],
  [
    'a sparse file with a part too few',
    'archive-ambiguous',
    tar(
      pax({ 'GNU.sparse.size': '9', 'GNU.sparse.numblocks': '2', 'GNU.sparse.map': '8,1' }),
      good,
    ),
  ],
  [
    'a hole that expands too much',
    'archive-ratio',
    () => gzipSync(tar(sparse10({ realsize: '100000000' }, '1\n99999999\n1\n', 'x'))),
  ],

  // Too large
  ['a gzip bomb', 'archive-ratio', () => bomb(4)],
  [
    'a zstd bomb',
    'archive-ratio',
    () => zstdCompressSync(tar(file('bomb', Buffer.alloc(64 * 1024 ** 2)))),
  ],
  ['a zstd frame that wants 2 GiB', 'archive-too-large', Buffer.from('28b52ffd00a8010000', 'hex')],
  [
    'a file of 8 GiB by its header',
    'archive-too-large',
    tar(entry({ size: binary(2n ** 33n + 1n) })),
  ],
  ['a file of 4 EiB by pax', 'archive-too-large', tar(pax({ size: String(2n ** 62n) }), good)],
  [
    'a pax header of 8 MiB',
    'archive-too-large',
    () => tar(pax({ comment: 'x'.repeat(8 * 1024 ** 2) }), good),
  ],
  [
    'global headers without end',
    'archive-too-large',
    () => tar(...times(2000, () => pax({ comment: 'x' }, 'g'))),
  ],
  ['a name of 1 MiB', 'archive-path-too-long', () => tar(long('L', 'x'.repeat(1024 ** 2)), good)],
  ['a name of 300 bytes', 'archive-path-too-long', tar(long('L', 'x'.repeat(300)), good)],
  [
    'a path of 1100 bytes',
    'archive-path-too-long',
    tar(long('L', `${'x'.repeat(199)}/`.repeat(6) + 'x'), good),
  ],
  ['a path of 2000 levels', 'archive-path-too-long', tar(long('L', 'd/'.repeat(2000) + 'x'), good)],
  ['a path of 65 levels', 'archive-path-too-long', tar(pax({ path: 'd/'.repeat(64) + 'x' }), good)],
  [
    'too many empty files',
    'archive-too-many-entries',
    () => tar(...times(limits.entries + 1, (i) => file(`${i}`, ''))),
  ],
  [
    'folders that no entry names',
    'archive-too-many-entries',
    () => tar(...times(limits.entries / 40, (i) => file(`${i}${'/d'.repeat(40)}`, ''))),
  ],

  // Duplicates
  ['a folder in the place of a file', 'archive-duplicate-path', tar(good, folder('a/'))],
  ['a file in the place of a folder', 'archive-duplicate-path', tar(folder('a'), good)],
  ['a file behind a file', 'archive-duplicate-path', tar(good, file('a/b'))],
  [
    'a file in the place of a folder that no entry names',
    'archive-duplicate-path',
    tar(file('a/b'), good),
  ],

  // Names
  ['a NUL in a name', 'archive-name-invalid', tar(file('a\0b'))],
  ['a name that is not UTF-8', 'archive-name-invalid', tar(file(Buffer.from([0x63, 0xe9])))],
  [
    'a name in overlong UTF-8',
    'archive-name-invalid',
    tar(file(Buffer.from([0xc0, 0xae, 0xc0, 0xae, 0x2f, 0x78]))),
  ],
  ['an empty name', 'archive-name-invalid', tar(file(''))],
  ['a file named .', 'archive-name-invalid', tar(file('.'))],

  // Headers
  ['a wrong checksum', 'archive-corrupt', tar(good, entry({ name: 'b', checksum: '000001\0 ' }))],
  [
    'a first header with a wrong checksum',
    'archive-corrupt',
    tar(entry({ checksum: '000001\0 ' })),
  ],
  ['a negative size', 'archive-corrupt', tar(entry({ size: Buffer.alloc(12, 0xff) }))],
  ['a size that is no number', 'archive-corrupt', tar(entry({ size: '99zzz' }))],
  ['a size with a sign', 'archive-corrupt', tar(entry({ size: '-0000000001\0' }))],
  ['a size with no end', 'archive-corrupt', tar(entry({ size: '000000000000' }))],
  ['no size', 'archive-corrupt', tar(entry({ size: Buffer.alloc(12) }))],
  ['a binary size that overflows', 'archive-corrupt', tar(entry({ size: binary(2n ** 63n) }))],
  ['a binary size with a strange mark', 'archive-corrupt', tar(entry({ size: binary(1n, 0x81) }))],
  ['a mode that is no number', 'archive-corrupt', tar(entry({ raw: { 100: 'rwxr-xr\0' } }))],
  [
    'a folder with content',
    'archive-corrupt',
    tar(good, entry({ name: 'd', type: '5', body: 'x' })),
  ],
  [
    'a link with content',
    'archive-corrupt',
    tar(good, entry({ name: 'l', type: '2', link: 'a', body: 'x' })),
  ],
  ['an owner that is no number', 'archive-corrupt', tar(entry({ raw: { 108: 'me\0' } }))],
  ['a group with text behind it', 'archive-corrupt', tar(entry({ raw: { 116: '0\0staff' } }))],
  ['a time that is no number', 'archive-corrupt', tar(entry({ raw: { 136: 'yesterday' } }))],
  ['a device that is no number', 'archive-corrupt', tar(entry({ raw: { 329: 'tape' } }))],
  [
    'a list of a folder by no GNU tar',
    'archive-type-forbidden',
    tar(good, entry({ name: 'd', type: 'D' })),
  ],
  ['a magic that nobody writes', 'archive-corrupt', tar(entry({ magic: 'usXar\x0000' }))],
  ['a ustar version that nobody writes', 'archive-corrupt', tar(entry({ magic: 'ustar\x0099' }))],

  // Two possible readings
  [
    'a pax size over another',
    'archive-ambiguous',
    tar(pax({ size: '1024' }), entry({ size: octal(0, 12) }), file('b')),
  ],
  ['a pax size with a sign', 'archive-ambiguous', tar(pax({ size: '-1' }), good)],
  [
    'a pax header before a GNU long name',
    'archive-ambiguous',
    tar(pax({ size: '2048' }), long('L', 'x'), good),
  ],
  [
    'a GNU long name before a pax header',
    'archive-ambiguous',
    tar(long('L', 'x'), pax({ path: 'y' }), good),
  ],
  ['two pax headers', 'archive-ambiguous', tar(pax({ path: 'x' }), pax({ path: 'y' }), good)],
  ['two GNU long names', 'archive-ambiguous', tar(long('L', 'x'), long('L', 'y'), good)],
  ['a GNU long name with a NUL inside', 'archive-ambiguous', tar(long('L', 'x\0y'), good)],
  ['a NUL in a pax path', 'archive-ambiguous', tar(pax({ path: 'x\0y' }), good)],
  ['an empty pax path', 'archive-ambiguous', tar(pax({ path: '' }), good)],
  ['a global path', 'archive-ambiguous', tar(pax({ path: 'x' }, 'g'), good)],
  ['a global size', 'archive-ambiguous', tar(pax({ size: '9' }, 'g'), good)],
  ['a global link target', 'archive-ambiguous', tar(pax({ linkpath: 'x' }, 'g'), good)],
  [
    'a global header behind a pax header',
    'archive-ambiguous',
    tar(pax({ path: 'x' }), pax({ comment: '' }, 'g'), good),
  ],
  [
    'a pax path twice',
    'archive-ambiguous',
    tar(entry({ type: 'x', body: '9 path=x\n9 path=y\n' }), good),
  ],
  [
    'a pax record that is too long',
    'archive-ambiguous',
    tar(entry({ type: 'x', body: '99 path=x\n' }), good),
  ],
  [
    'a pax record that is too short',
    'archive-ambiguous',
    tar(entry({ type: 'x', body: '5 path=x\n' }), good),
  ],
  [
    'a pax record of length 0',
    'archive-ambiguous',
    tar(entry({ type: 'x', body: '0 path=x\n' }), good),
  ],
  [
    'a pax record without a length',
    'archive-ambiguous',
    tar(entry({ type: 'x', body: 'path=x\n' }), good),
  ],
  ['a blank before a pax key', 'archive-ambiguous', tar(pax({ ' path': 'evil' }), good)],
  ['a tab before a pax key', 'archive-ambiguous', tar(pax({ '\tpath': 'evil' }), good)],
  [
    'a blank before a global pax key',
    'archive-ambiguous',
    tar(pax({ ' path': 'evil' }, 'g'), good),
  ],
  ['a NUL in a pax key', 'archive-corrupt', tar(pax({ 'path\0x': 'evil' }), good)],
  ['a NUL before a pax key', 'archive-corrupt', tar(pax({ '\0path': 'evil' }), good)],
  ['a line feed before a pax key', 'archive-corrupt', tar(pax({ '\npath': 'evil' }), good)],
  [
    'a pax time after all times',
    'archive-corrupt',
    tar(pax({ mtime: '9223372036854775808' }), good),
  ],
  [
    'a pax time before all times',
    'archive-corrupt',
    tar(pax({ mtime: '-9223372036854775809.5' }), good),
  ],
  ['a pax time of 23 digits', 'archive-corrupt', tar(pax({ mtime: '9'.repeat(23) }), good)],
  [
    'a volume label behind a pax header',
    'archive-ambiguous',
    tar(pax({ path: 'x' }), entry({ name: 'LABEL', type: 'V' }), good),
  ],
  [
    'a volume label behind a GNU long name',
    'archive-ambiguous',
    tar(long('L', 'x'), entry({ type: 'V' }), good),
  ],
  [
    'volume labels without end',
    'archive-too-large',
    () => tar(...times(2000, () => entry({ name: 'LABEL', type: 'V' })), good),
  ],
  [
    'a pax record without a key',
    'archive-ambiguous',
    tar(entry({ type: 'x', body: '5 =x\n' }), good),
  ],
  [
    'a GNU header with a ustar prefix',
    'archive-ambiguous',
    tar(entry({ magic: 'ustar  \0', prefix: 'd' })),
  ],
  [
    'a GNU header with text behind its times',
    'archive-ambiguous',
    tar(gnuWith({ 345: '14524757000\0', 369: 'd' })),
  ],
  ['a GNU header with a time that is a path', 'archive-ambiguous', tar(gnuWith({ 357: 'etc/' }))],
  [
    'a GNU header with the size of a sparse file',
    'archive-ambiguous',
    tar(gnuWith({ 483: '00000000002\0' })),
  ],
  [
    'a GNU header with the map of a sparse file',
    'archive-ambiguous',
    tar(gnuWith({ 386: '0000000000000000000001' })),
  ],
  [
    'a star header whose prefix goes on into its times',
    'archive-ambiguous',
    tar(entry({ name: 'a', prefix: 'p'.repeat(140), raw: { 508: 'tar\0' } })),
  ],
  [
    'a header of the first star with a prefix',
    'archive-ambiguous',
    tar(entry({ magic: '', prefix: 'p', raw: star })),
  ],
  [
    'text in the padding of a GNU long name',
    'archive-ambiguous',
    tar(padded(entry({ type: 'L', body: 'x' }), 1, 'y'), good),
  ],
  [
    'text behind the NUL of a GNU long name',
    'archive-ambiguous',
    tar(padded(long('L', 'x'), 2, 'y'), good),
  ],
  [
    'text far behind a GNU long name',
    'archive-ambiguous',
    tar(padded(long('L', 'x'), 511, 'y'), good),
  ],
  [
    'text in the padding of a long link target',
    'archive-ambiguous',
    tar(padded(long('K', 'x'), 2, 'y'), good),
  ],
  [
    'records in the padding of a pax header',
    'archive-ambiguous',
    tar(padded(pax({ path: 'x' }), 9, '9 path=y\n'), good),
  ],
  [
    'records in the padding of a global header',
    'archive-ambiguous',
    tar(padded(pax({ a: '' }, 'g'), 5, '9 path=y\n'), good),
  ],
  ['a file with a slash behind', 'archive-ambiguous', tar(file('d/'))],

  // Wrong ends
  ['nothing', 'archive-empty', Buffer.alloc(0)],
  ['zeros alone', 'archive-empty', tar()],
  ['folders alone', 'archive-empty', tar(folder('./'), folder('d'))],
  ['.git alone', 'archive-empty', tar(folder('.git'), file('.git/HEAD'))],
  ['gzip of nothing', 'archive-empty', gzipSync('')],
  ['no end blocks', 'archive-truncated', good],
  ['one end block', 'archive-truncated', tar(good).subarray(0, -512)],
  ['half an end block', 'archive-truncated', tar(good).subarray(0, -100)],
  ['half a header', 'archive-truncated', Buffer.concat([good, good.subarray(0, 200)])],
  ['half of the first header', 'archive-truncated', good.subarray(0, 300)],
  ['half a body', 'archive-truncated', file('a', Buffer.alloc(100_000)).subarray(0, 70_000)],
  ['a small body cut off', 'archive-truncated', good.subarray(0, 700)],
  ['a name without its entry', 'archive-corrupt', tar(good, long('L', 'x'))],
  ['one zero block, then more', 'archive-trailing-data', tar(good, Buffer.alloc(512), file('b'))],
  ['bytes after the end', 'archive-trailing-data', Buffer.concat([tar(good), Buffer.from('more')])],
  [
    'bytes far behind the end',
    'archive-trailing-data',
    Buffer.concat([tar(good), Buffer.alloc(99_999), good]),
  ],
  ['a second archive', 'archive-trailing-data', Buffer.concat([tar(good), tar(file('b'))])],
  ['HTML', 'archive-unsupported', Buffer.from(`<!doctype html>${'<p>no</p>'.repeat(99)}`)],
  ['a zip file', 'archive-unsupported', Buffer.from(`PK\x03\x04${'x'.repeat(600)}`)],
  ['text', 'archive-unsupported', Buffer.from('hello')],
  ['one byte', 'archive-unsupported', Buffer.from('x')],
  ['gzip of no archive', 'archive-unsupported', gzipSync('hello')],
  ['gzip in gzip', 'archive-unsupported', gzipSync(gz)],

  // Compressed framing
  ['gzip, cut', 'archive-truncated', gz.subarray(0, -3)],
  ['gzip, cut in its header', 'archive-truncated', gz.subarray(0, 5)],
  ['gzip with a wrong CRC', 'archive-corrupt', changed(gz, -6)],
  ['gzip with a wrong length', 'archive-corrupt', changed(gz, -2)],
  ['gzip with reserved flags', 'archive-corrupt', changed(gz, 3)],
  ['gzip with bytes behind', 'archive-corrupt', Buffer.concat([gz, Buffer.from('more')])],
  [
    'gzip with zeros and bytes behind',
    'archive-corrupt',
    Buffer.concat([gz, Buffer.alloc(9), Buffer.from('more')]),
  ],
  [
    'gzip with zeros and a member behind',
    'archive-corrupt',
    Buffer.concat([gzipSync(good), Buffer.alloc(9), gzipSync(end)]),
  ],
  [
    'zstd with zeros and a frame behind',
    'archive-corrupt',
    Buffer.concat([zstdCompressSync(good), Buffer.alloc(9), zstdCompressSync(end)]),
  ],
  ['zstd with gzip behind', 'archive-corrupt', Buffer.concat([zst, gz])],
  ['zstd frames to skip alone', 'archive-empty', Buffer.concat([skipped(4), skipped(0)])],
  [
    'zstd, cut in a frame to skip',
    'archive-truncated',
    Buffer.concat([zst, skipped(9)]).subarray(0, -1),
  ],
  ['gzip with another archive behind', 'archive-trailing-data', Buffer.concat([gz, gz])],
  ['zstd, cut', 'archive-truncated', zst.subarray(0, -3)],
  ['zstd with a damaged block', 'archive-corrupt', changed(zst, 6)],
  [
    'zstd with bytes behind',
    'archive-corrupt',
    Buffer.concat([zst, Buffer.from('more, and still more')]),
  ],
]

/** A GNU sparse file whose map goes on in a second header, and the offsets of its parts there. */
export const sparseInTwo = (
  name: string | Buffer,
  [first, second]: [number[], number[]] = [
    [0, 10, 20, 30],
    [40, 50],
  ],
): Buffer => {
  const map = (offsets: number[]) => offsets.map((at) => `${octal(at, 12)}${octal(1, 12)}`).join('')
  const body = 'uvwxyz'.slice(0, first.length + second.length)
  const begin = gnuSparse(map(first), octal(51, 12), body, name)
  const further = Buffer.alloc(block)
  further.write(map(second))
  begin[482] = 1
  resum(begin)
  return Buffer.concat([begin.subarray(0, block), further, begin.subarray(block)])
}
function resum(header: Buffer): void {
  header.fill(' ', 148, 156)
  const sum = header.subarray(0, block).reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
}
/** The records of form 0.0 come several times. */
const sparse00 = entry({
  name: 'PaxHeaders/0',
  type: 'x',
  body: Buffer.concat(
    [
      ['path', 'a'],
      ['GNU.sparse.size', '4096'],
      ['GNU.sparse.numblocks', '2'],
      ['GNU.sparse.offset', '0'],
      ['GNU.sparse.numbytes', '3'],
      ['GNU.sparse.offset', '4096'],
      ['GNU.sparse.numbytes', '0'],
    ].map(([key, value]) => record(key!, Buffer.from(value!))),
  ),
})

/** Archives that look odd and are valid, with the paths in them. */
export const odd: [what: string, paths: string[], bytes: Buffer][] = [
  [
    'a ./ before each name',
    ['a', 'd', 'd/b'],
    tar(folder('./'), file('./a'), folder('./d/'), file('./d/b')),
  ],
  ['folders after what they hold', ['d', 'd/b'], tar(file('d/b'), folder('d'))],
  [
    '.git, which is left out',
    ['a', 's', 's/x'],
    tar(file('.git/hooks/x'), good, file('s/.git'), file('s/x')),
  ],
  [
    'a v7 header',
    ['a', 'd', 'd/b'],
    tar(entry({ name: 'd/', type: '\0', magic: '' }), file('d/b'), good),
  ],
  ['a contiguous file', ['a'], tar(entry({ name: 'a', type: '7', body: 'x' }))],
  ['a ustar prefix', ['p', 'p/a'], tar(entry({ name: 'a', prefix: 'p', body: 'x' }))],
  [
    'times behind a ustar prefix',
    ['p', 'p/a'],
    tar(entry({ name: 'a', prefix: 'p', body: 'x', raw: { 476: '14525172747' } })),
  ],
  ['a pax path of digits', ['12345'], tar(pax({ path: '12345' }), good)],
  ['a volume label', ['a'], tar(entry({ name: 'LABEL', type: 'V', magic: 'ustar  \0' }), good)],
  ['a time with a fraction', ['a'], tar(pax({ mtime: '1700000000.123', atime: '-1.5' }), good)],
  ['the last time that 64 bits hold', ['a'], tar(pax({ mtime: '9223372036854775807.9' }), good)],
  ['the first time that 64 bits hold', ['a'], tar(pax({ mtime: '-09223372036854775808' }), good)],
  ['a pax key with a blank inside and behind', ['a'], tar(pax({ 'my key ': 'x' }), good)],
  [
    'pax keys that are dropped',
    ['a'],
    tar(pax({ 'SCHILY.xattr.security.capability': '\0\x01', mtime: 'NaN' }), good),
  ],
  ['a global comment', ['a'], tar(pax({ comment: 'deadbeef' }, 'g'), good)],
  ['a pax size that agrees', ['a'], tar(pax({ size: '1' }), good)],
  ['a binary size', ['a', 'b'], tar(entry({ name: 'a', body: 'x', size: binary(1n) }), file('b'))],
  [
    'times before and after all times',
    ['a'],
    tar(entry({ name: 'a', body: 'x', raw: { 136: binary(2n ** 63n) } })),
  ],
  [
    'owners without measure',
    ['a'],
    tar(entry({ name: 'a', body: 'x', raw: { 108: Buffer.alloc(8, 0xff) } })),
  ],
  ['a backslash in a name', ['..\\x', 'a\\b'], tar(file('..\\x'), file('a\\b'))],
  [
    'empty parts and . in a path',
    ['a', 'a/b', 'a/c', 'x'],
    tar(file('a//b'), file('a/./c'), file('.//x')),
  ],
  ['a file twice: the last one counts', ['a', 'b'], tar(good, file('b'), file('a', 'later'))],
  [
    'a link twice, and a link in another order',
    ['a', 'l'],
    tar(good, link('l', 'no'), link('l', 'a')),
  ],
  ['names that differ in case', ['README', 'readme'], tar(file('README'), file('readme'))],
  [
    'folders that differ in case',
    ['Src', 'Src/a', 'src', 'src/b'],
    tar(file('Src/a'), file('src/b')),
  ],
  ['names that differ in composition', ['e\u0301', '\u00e9'], tar(file('\u00e9'), file('e\u0301'))],
  ['names that differ by a ligature', ['fix', '\ufb01x'], tar(file('\ufb01x'), file('fix'))],
  [
    'names that differ by ß and ss',
    ['strasse', 'stra\u00dfe'],
    tar(file('stra\u00dfe'), file('strasse')),
  ],
  ['names that differ by a dot behind', ['a', 'a.'], tar(good, file('a.'))],
  [
    'names that differ by a space behind',
    ['d', 'd/a', 'd ', 'd /a'],
    tar(file('d/a'), file('d /a')),
  ],
  [
    'control characters in names, as in those of macOS and Windows',
    ['Icon\r', 'a\nb', 'a\x1b[31mb', 'a\u009bb', 'a\u200eb', 'a\u202etxt.js'],
    tar(
      ...['Icon\r', 'a\nb', 'a\x1b[31mb', 'a\u009bb', 'a\u200eb', 'a\u202etxt.js'].map((name) =>
        file(name),
      ),
    ),
  ],
  ['a link to an absolute path', ['a', 'l'], tar(good, link('l', '/usr/bin/python3'))],
  ['a link that leaves the tree', ['a', 'd', 'd/l'], tar(good, link('d/l', '../../x'))],
  [
    'a long link target that leaves the tree',
    ['a', 'l'],
    tar(good, long('K', '../x'), link('l', 'x')),
  ],
  [
    'a pax link target that leaves the tree',
    ['a', 'l'],
    tar(good, pax({ linkpath: '../x' }), link('l', 'x')),
  ],
  [
    'a link through a link, before it and behind it',
    ['a', 'd', 'd/e', 'k', 'l', 'm'],
    tar(good, link('k', 'l/x'), folder('d/e'), link('l', 'd/e'), link('m', 'l/../../x')),
  ],
  [
    'links in a circle',
    ['a', 'l', 'm', 'n'],
    tar(good, link('l', 'm'), link('m', 'l'), link('n', 'n')),
  ],
  ['a newline in a link target', ['a', 'l'], tar(good, link('l', 'a\nb'))],
  [
    'a link of a thousand steps',
    ['a', 'l'],
    tar(good, long('K', 'd/../'.repeat(200)), link('l', 'x')),
  ],
  ['a hard link to a link', ['a', 'h', 'l'], tar(good, link('l', 'a'), hardLink('h', 'l'))],
  ['a file over a hard link', ['a', 'h'], tar(good, hardLink('h', 'a'), file('h', 'later'))],
  [
    'a file over the original of hard links',
    ['a', 'h', 'i'],
    tar(good, hardLink('h', 'a'), hardLink('i', 'h'), file('a', 'later')),
  ],
  [
    'a hard link over another file',
    ['a', 'b'],
    tar(good, file('b', 'earlier'), hardLink('b', 'a')),
  ],
  [
    'a GNU sparse file',
    ['a', 'b'],
    tar(
      gnuSparse('00000000000\x0000000000003\x0000000010000\x0000000000000\0', '00000010000', 'xyz'),
      file('b'),
    ),
  ],
  [
    'a GNU sparse file with six parts, two of them in a second header',
    ['a', 'b'],
    tar(sparseInTwo('a'), file('b')),
  ],
  ['a sparse file, pax 0.0', ['a', 'b'], tar(sparse00, file('x', 'xyz'), file('b'))],
  [
    'a sparse file, pax 0.1',
    ['a', 'b'],
    tar(
      pax({
        'GNU.sparse.size': '4096',
        'GNU.sparse.numblocks': '2',
        'GNU.sparse.name': 'a',
        'GNU.sparse.map': '1,3,4096,0',
      }),
      file('GNUSparseFile.1/a', 'xyz'),
      file('b'),
    ),
  ],
  ['a sparse file, pax 1.0', ['a', 'b'], tar(sparse10({}, '2\n2\n3\n10\n0\n', 'xyz'), file('b'))],
  [
    'a sparse file of nothing but a hole',
    ['a', 'b'],
    tar(sparse10({}, '1\n10\n0\n', ''), file('b')),
  ],
  [
    'a sparse file with a long map',
    ['a', 'b'],
    tar(
      sparse10(
        { realsize: '4000' },
        `201\n${times(200, (i) => Buffer.from(`${i * 20}\n5\n`)).join('')}4000\n0\n`,
        'x'.repeat(1000),
      ),
      file('b'),
    ),
  ],
  ['a link to a link', ['a', 'l', 'm'], tar(good, link('l', 'm'), link('m', 'a'))],
  ['a link to nothing', ['a', 'l'], tar(good, link('l', 'no/such'))],
  ['a link to the root', ['a', 'd', 'd/l'], tar(good, link('d/l', '..'))],
  [
    'a hard link to a hard link',
    ['a', 'h', 'i'],
    tar(good, hardLink('h', './a'), hardLink('i', 'h')),
  ],
  ['much padding', ['a'], Buffer.concat([tar(good), Buffer.alloc(100_001)])],
  [
    'gzip in many members',
    ['a'],
    Buffer.concat(times(3, (i) => gzipSync(tar(good).subarray(i * 700, (i + 1) * 700)))),
  ],
  [
    'gzip with zeros behind, as `tar czf /dev/stdout` writes',
    ['a'],
    Buffer.concat([gz, Buffer.alloc(10_240)]),
  ],
  ['zstd with zeros behind', ['a'], Buffer.concat([zst, Buffer.alloc(100)])],
  [
    'zstd with frames to skip, as pzstd writes',
    ['a'],
    Buffer.concat([
      skipped(4),
      zstdCompressSync(good),
      skipped(0),
      zstdCompressSync(end),
      skipped(4),
    ]),
  ],
  [
    'zstd and gzip with empty parts',
    ['a'],
    Buffer.concat([zstdCompressSync(''), zst, zstdCompressSync('')]),
  ],
  ['zstd in two frames', ['a'], Buffer.concat([zstdCompressSync(good), zstdCompressSync(end)])],
  ['an empty file', ['a'], tar(file('a', ''))],
  ['a name of 255 bytes', ['x'.repeat(255)], tar(long('L', 'x'.repeat(255)), good)],
  ['names that only look alike', ['a', '\u0430'], tar(good, file('\u0430'))],
]

/** Random numbers that are the same on every run. */
export function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}
