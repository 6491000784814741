import { type PaxSparse, readPaxSparse } from './sparse.ts'
import { ambiguous, corrupt } from './tar-header.ts'

/** What a pax header says about the next entry. All other records are dropped. */
export type Pax = {
  path?: Buffer
  linkpath?: Buffer
  size?: Buffer
  /** The map of a sparse file. */
  sparse: PaxSparse | null
  /** Why the gateway takes no entry with such a header. */
  refused: string | null
}

const sparsePrefix = 'GNU.sparse.'
/** The name of a sparse file. Its other headers have a made-up one. */
const sparseName = `${sparsePrefix}name`
const kept = new Set(['path', 'linkpath', 'size', sparseName])

/** Records of entries that are no plain files, with what they are. */
const refusals: [RegExp, string][] = [
  [
    /^GNU\.dumpdir$/,
    'It is part of an incremental backup, which may hold only what changed. Pack without --listed-incremental (-g) and --incremental (-G).',
  ],
  [
    /^GNU\.volume\.(?!label$)/,
    'It is part of an archive in several volumes. Pack without --multi-volume (-M).',
  ],
  [
    /^SCHILY\.(?:realsize|filetype)$|^SUN\.holesdata$/,
    'It is a sparse or special file in the form of star or Solaris tar. Pack with GNU tar or bsdtar.',
  ],
]

/**
 * Reads the records `LENGTH KEY=VALUE\n` of one pax header. Refuses records that tar readers
 * interpret differently.
 */
export function readPax(body: Buffer): Pax {
  const found: Record<string, Buffer> = {}
  const sparse: [string, string][] = []
  let refused: string | null = null

  for (const { key, value } of recordsOf(body)) {
    checkRecord(key, value)
    refused ??= refusals.find(([pattern]) => pattern.test(key))?.[1] ?? null

    if (key.startsWith(sparsePrefix))
      sparse.push([key.slice(sparsePrefix.length), value.toString('latin1')])
    if (!kept.has(key)) continue
    if (found[key]) throw ambiguous(`A pax header gives ${key} twice.`)
    if (value.length === 0 || value.includes(0))
      throw ambiguous(`A pax header gives an impossible ${key}.`)
    found[key] = value
  }

  const { [sparseName]: name, ...rest } = found
  if (name && rest['path'] && !name.equals(rest['path']))
    throw ambiguous('A pax header gives a sparse file two names.')
  return {
    ...rest,
    ...(name && { path: name }),
    sparse: sparse.length > 0 ? readPaxSparse(sparse) : null,
    refused,
  }
}

/** Whether a pax header changes nothing that the gateway uses. */
export const isEmptyPax = ({ path, linkpath, size, sparse, refused }: Pax): boolean =>
  !path && !linkpath && !size && !sparse && refused === null

function* recordsOf(body: Buffer): Generator<{ key: string; value: Buffer }, void> {
  for (let start = 0; start < body.length;) {
    const [head, digits] =
      /^([1-9][0-9]{0,5}) /.exec(body.toString('latin1', start, start + 8)) ?? []

    const end = start + Number(digits)
    const equals = body.indexOf('=', start)
    if (
      !head ||
      end > body.length ||
      body[end - 1] !== 0x0a ||
      equals <= start + head.length ||
      equals >= end - 1
    )
      throw ambiguous('A pax header has a record of a wrong length.')

    const key = body.toString('utf8', start + head.length, equals)
    yield { key, value: body.subarray(equals + 1, end - 1) }
    start = end
  }
}

/** Refuses records that are dropped here, but that other readers use or read under another key. */
function checkRecord(key: string, value: Buffer): void {
  // GNU tar skips blanks before a key: it reads " path" as a path.
  if (/^[ \t]/.test(key)) throw ambiguous('A pax header has a blank before a key.')
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\x00-\x1f\x7f]/.test(key)) throw corrupt('A pax header has a control character in a key.')
  // For a time out of range, GNU tar fails and bsdtar crashes when it lists. bsdtar ignores a time
  // that is no number.
  if (key === 'mtime' && isBeyond64Bits(value))
    throw corrupt('A pax header gives a time that is out of range.')
}

/** Checks the whole seconds at the beginning, as readers do. 64 bits have 19 digits. */
function isBeyond64Bits(time: Buffer): boolean {
  const [, sign, digits] = /^(-?)0*([0-9]*)/.exec(time.toString('latin1'))!
  if (digits!.length > 19) return true
  const seconds = sign ? -BigInt(digits!) : BigInt(digits!)
  return BigInt.asIntN(64, seconds) !== seconds
}
