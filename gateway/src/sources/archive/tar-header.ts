import { Problem } from '#api/problem.ts'

/** The fields of one header block that the gateway uses: no owners, times or devices. */
export type Header = {
  type: string
  /** `v7` has no type for folders: a slash at the end of the name marks one. */
  format: 'ustar' | 'gnu' | 'v7'
  /** The block has text where only some readers look for a part of the name or of the size. */
  ambiguous: boolean
  sizeBytes: number
  executable: boolean
  /** Call it only if no longer name came before: a cut name may end inside a character. */
  name: () => Buffer
  target: () => Buffer
}

export const blockBytes = 512

/** Refuses a body that is no tar archive, by its first block. */
export function checkBeginning(block: Buffer): void {
  if (block.length === 0)
    throw new Problem('archive-empty', 'The body is empty. Try: tar cz . | curl -T - …')
  if (looksLikeTar(block) || isZero(block)) return
  const found = Object.entries(others).find(
    ([start]) => block.toString('latin1', 0, start.length) === start,
  )?.[1]
  throw new Problem(
    'archive-unsupported',
    `The body ${found ? `is ${found}` : 'is no archive'}. Send tar, tar.gz or tar.zst: tar cz . | curl -T - …`,
  )
}

/** First bytes of other formats that people send. */
const others: Record<string, string> = {
  PK: 'a zip file',
  '\xfd7zXZ': 'compressed with xz',
  BZh: 'compressed with bzip2',
  '7z\xbc\xaf': 'a 7z file',
  '\x1f\x8b': 'compressed twice',
  '\x28\xb5\x2f\xfd': 'compressed twice',
  '<': 'HTML or XML',
  '{': 'JSON',
}

/** Whether a block may be the first of a tar archive, even a damaged one. */
const looksLikeTar = (block: Buffer): boolean =>
  block.toString('latin1', 257, 262) === 'ustar' ||
  (block.length === blockBytes && checksumFits(block))

/** Reads one header strictly: refuses what tar readers interpret differently. */
export function readHeader(block: Buffer): Header {
  if (!checksumFits(block)) throw corrupt('The checksum of a header does not fit.')

  const format = readFormat(block)
  checkNumbers(block, format)
  const prefix = format === 'ustar' ? untilNul(block.subarray(345, 500)) : Buffer.alloc(0)
  return {
    type: block[156] === 0 ? '0' : String.fromCharCode(block[156]!),
    format,
    ambiguous: !tails[format](block),
    sizeBytes: readSize(block),
    executable: (readOctal(block, 100, 108, 'mode') & 0o100) !== 0,
    name: () =>
      prefix.length > 0
        ? Buffer.concat([prefix, Buffer.from('/'), text(block, 0, 100)])
        : text(block, 0, 100),
    target: () => text(block, 157, 257),
  }
}

function checksumFits(block: Buffer): boolean {
  let sum = 8 * 0x20 // the checksum counts itself as spaces
  for (let i = 0; i < 148; i++) sum += block[i]!
  for (let i = 156; i < blockBytes; i++) sum += block[i]!
  const [, digits] = /^ *([0-7]+)[\0 ]*$/.exec(block.toString('latin1', 148, 156)) ?? []
  return digits !== undefined && Number.parseInt(digits, 8) === sum
}

/**
 * The version after the magic `ustar\0`: POSIX, Ant (none), Dart (a number in the format of its
 * other numbers). Every tar reader recognizes ustar by the six bytes before it.
 */
const ustarVersions = new Set(['00', '\0\0', '0 '])

function readFormat(block: Buffer): Header['format'] {
  const magic = block.toString('latin1', 257, 265)
  if (magic.startsWith('ustar\0') && ustarVersions.has(magic.slice(6)) && ustarEnds(block))
    return 'ustar'
  if (magic === 'ustar  \0') return 'gnu'
  // star's format before POSIX has its own fields here. Other readers take it for v7, which has
  // none.
  if (blank(block, 257, 265) || (isStar(block) && !magic.startsWith('ustar'))) return 'v7'
  throw corrupt('A header has an unknown format (known are ustar, pax, GNU, star and v7).')
}

const isStar = (block: Buffer): boolean => block.toString('latin1', 508, blockBytes) === 'tar\0'
const ustarEnds = (block: Buffer): boolean =>
  blank(block, 500, 508) && (blank(block, 508, blockBytes) || isStar(block))

/**
 * Whether all readers see the same in the bytes from 345 on, by format. ustar has the first part of
 * a long name there. star cuts that part short and puts two times behind it. GNU has two times,
 * then a map and a size of sparse files, which some readers apply to every file. v7 has nothing.
 */
const tails: Record<Header['format'], (block: Buffer) => boolean> = {
  ustar: (block) => !isStar(block) || block[475] === 0,
  gnu: (block) => isTime(block, 345) && isTime(block, 357) && blank(block, 369, blockBytes),
  v7: (block) => blank(block, 345, 500),
}

const isTime = (block: Buffer, start: number): boolean => isNumber(block, start, start + 12)

/**
 * Checks numbers that the gateway drops: owner, group, time and device. A reader that uses them
 * fails if they are no numbers.
 */
function checkNumbers(block: Buffer, format: Header['format']): void {
  const owners = isNumber(block, 108, 116) && isNumber(block, 116, 124)
  const devices = format === 'v7' || (isNumber(block, 329, 337) && isNumber(block, 337, 345))
  if (!owners || !devices || !isNumber(block, 136, 148))
    throw corrupt('The owner, the time or the device of an entry is not a number.')
}

/** A number in octal, in binary (after one of two marker bytes), or empty. */
function isNumber(block: Buffer, start: number, end: number): boolean {
  if (block[start] === 0x80 || block[start] === 0xff) return true
  let at = start
  while (at < end && isBlank(block[at]!)) at++
  while (at < end && block[at]! >= 0x30 && block[at]! <= 0x37) at++
  while (at < end && isBlank(block[at]!)) at++
  return at === end
}

const isBlank = (byte: number): boolean => byte === 0 || byte === 0x20

function readSize(block: Buffer): number {
  const first = block[124]!
  if ((first & 0x80) === 0) return readOctal(block, 124, 136, 'size')
  // A size too large for octal is binary: one marker byte, then eleven bytes for the number.
  const size = block.readBigUInt64BE(128)
  if (first !== 0x80 || !blank(block, 125, 128) || size > BigInt(Number.MAX_SAFE_INTEGER))
    throw corrupt('The size of an entry is not a possible number.')
  return Number(size)
}

function readOctal(block: Buffer, start: number, end: number, what: string): number {
  const [, digits] = /^ *([0-7]+)[\0 ]+$/.exec(block.toString('latin1', start, end)) ?? []
  if (digits === undefined) throw corrupt(`The ${what} of an entry is not a number.`)
  return Number.parseInt(digits, 8)
}

function text(block: Buffer, start: number, end: number): Buffer {
  const found = untilNul(block.subarray(start, end))
  if (!blank(block, start + found.length, end))
    throw new Problem('archive-name-invalid', 'Its name holds a NUL byte. Rename the file.')
  return found
}

function untilNul(field: Buffer): Buffer {
  const stop = field.indexOf(0)
  return stop < 0 ? field : field.subarray(0, stop)
}

const blank = (block: Buffer, start: number, end: number): boolean =>
  isZero(block.subarray(start, end))

const zeros = Buffer.alloc(64 * 1024)
export function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const part = bytes.subarray(at, at + zeros.length)
    if (part.compare(zeros, 0, part.length) !== 0) return false
  }
  return true
}

export const corrupt = (detail: string): Problem =>
  new Problem('archive-corrupt', `${detail} Pack the source again.`)
