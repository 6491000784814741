import { end, entry, file, folder, pax, tar } from './archives.ts'

/**
 * How other tar writers differ from GNU tar and bsdtar, copied byte by byte. All of it is legal:
 * GNU tar and bsdtar accept each of these archives.
 */

type Fields = NonNullable<Parameters<typeof entry>[0]>

/** The numeric fields of a header: offset, length, and default. */
const numbers = {
  mode: [100, 8],
  owner: [108, 8],
  group: [116, 8],
  size: [124, 12],
  time: [136, 12],
} as const
type Numbers = Record<keyof typeof numbers, number>

function numbered(
  values: Numbers,
  write: (value: number, length: number) => string,
): Record<number, string> {
  const fields = Object.entries(numbers).map(([name, [at, length]]) => [
    at,
    write(values[name as keyof Numbers], length),
  ])
  return Object.fromEntries(fields) as Record<number, string>
}

const valuesOf = ({ mode = 0o644, body = '' }: Fields): Numbers => ({
  mode,
  owner: 1000,
  group: 1000,
  size: Buffer.byteLength(body),
  time: 1_700_000_000,
})

/**
 * Dart, as `pub` packs: digits to the right and a space at their end. The version of ustar is such
 * a number too.
 */
const dart = (fields: Fields): Buffer => {
  const write = (value: number, length: number) => `${value.toString(8).padStart(length - 1)} `
  return entry({ ...fields, magic: 'ustar\x000 ', raw: numbered(valuesOf(fields), write) })
}

/**
 * Ant before 1.9: digits to the right, a space and a NUL (or only a space) at their end, and no
 * version of ustar.
 */
const ant = (fields: Fields): Buffer => {
  const write = (value: number, length: number) =>
    length === 8
      ? `${value.toString(8).padStart(length - 2)} \0`
      : `${value.toString(8).padStart(length - 1)} `
  return entry({ ...fields, magic: 'ustar\0\0\0', raw: numbered(valuesOf(fields), write) })
}

/**
 * star (xstar): ustar with a shorter prefix, two times behind it, and a mark at the end of the
 * block.
 */
const star = (fields: Fields): Buffer =>
  entry({ ...fields, raw: { 476: '14524757000 14524757000 ', 508: 'tar\0', ...fields.raw } })

/** star before POSIX: its own fields in place of ustar's magic. */
const oldStar = (fields: Fields): Buffer =>
  entry({
    ...fields,
    magic: '',
    raw: { 257: '1', 283: '14524757000 14524757000 ', 307: 'root', 508: 'tar\0' },
  })

/** GNU tar and Go: times of access and of change where ustar has the first part of a long name. */
const gnuTimes = (fields: Fields, times = '14524757000\x0014524757000\0'): Buffer =>
  entry({ ...fields, magic: 'ustar  \0', raw: { 345: times, ...fields.raw } })

const binaryTime = Buffer.concat([
  Buffer.from([0x80]),
  Buffer.alloc(7),
  Buffer.from([0x65, 0x53, 0xf1, 0]),
])

export const foreign: [what: string, paths: string[], bytes: Buffer][] = [
  [
    'an archive of Dart',
    ['d', 'd/a', 'x'.repeat(120)],
    tar(
      dart({ name: 'd/', type: '5', mode: 0o755 }),
      dart({ name: 'd/a', body: 'x', mode: 0o755 }),
      pax({ path: 'x'.repeat(120) }),
      dart({ name: 'x'.repeat(99), body: 'y' }),
    ),
  ],
  [
    'an archive of Ant',
    ['d', 'd/a', 'run'],
    tar(
      ant({ name: 'd/', type: '5', mode: 0o40755 }),
      ant({ name: 'd/a', body: 'x', mode: 0o100644 }),
      ant({ name: 'run', body: '#!', mode: 0o100755 }),
    ),
  ],
  [
    'an archive of star',
    ['d', 'd/a', 'p', 'p/b', 'p/l'],
    tar(
      star({ name: 'd/', type: '5', mode: 0o755 }),
      star({ name: 'd/a', body: 'x' }),
      star({ name: 'b', prefix: 'p', body: 'y' }),
      star({ name: 'p/l', type: '2', link: 'b' }),
    ),
  ],
  [
    'an archive of star with pax headers',
    ['a'],
    tar(
      pax({ 'SCHILY.archtype': 'exustar' }, 'g'),
      pax({ 'SCHILY.dev': '64769', 'SCHILY.ino': '7', 'SCHILY.nlink': '1', atime: '1700000000.5' }),
      star({ name: 'a', body: 'x' }),
    ),
  ],
  [
    'an archive of the first star',
    ['a', 'd', 'd/b'],
    tar(
      oldStar({ name: 'a', body: 'x' }),
      oldStar({ name: 'd/', type: '5', mode: 0o755 }),
      oldStar({ name: 'd/b', body: 'y' }),
    ),
  ],
  [
    'an archive of GNU tar with atime and ctime',
    ['d', 'd/a', 'l'],
    tar(
      gnuTimes({ name: 'd/', type: '5', mode: 0o755 }),
      gnuTimes({ name: 'd/a', body: 'x' }),
      gnuTimes({ name: 'l', type: '2', link: 'd/a' }),
    ),
  ],
  [
    'a GNU header with atime alone',
    ['a'],
    tar(gnuTimes({ name: 'a', body: 'x' }, '14524757000\0')),
  ],
  [
    'a GNU header with a binary atime',
    ['a'],
    tar(gnuTimes({ name: 'a', body: 'x', raw: { 345: binaryTime } })),
  ],
  ['a folder twice', ['a', 'd'], tar(file('a'), folder('d'), folder('d/'))],
  [
    'a folder again after what it holds',
    ['d', 'd/a'],
    tar(folder('d'), file('d/a'), folder('./d/'), folder('d')),
  ],
  ['the root twice', ['a'], tar(folder('./'), file('./a'), folder('.'), folder('./'))],
  ['folders between the files of others', ['d', 'd/a', 'e', 'e/b'], repeatedFolders()],
]

/** As from a writer that repeats the parent folders before each file. */
function repeatedFolders(): Buffer {
  return Buffer.concat([
    folder('d/'),
    folder('e/'),
    file('d/a'),
    folder('d/'),
    folder('e/'),
    file('e/b'),
    end,
  ])
}
