import { Problem } from '#api/problem.ts'
import { corrupt } from './tar-header.ts'

/** The fields of the next entry that a pax header may change. All other fields are dropped. */
export type Pax = { path?: Buffer; linkpath?: Buffer; size?: Buffer }

const kept = new Set(['path', 'linkpath', 'size'])
const sparse = /^GNU\.sparse\.|^SCHILY\.(?:realsize|filetype)$/

/**
 * Reads the records `LENGTH KEY=VALUE\n` of one pax header. Refuses records that tar readers
 * interpret differently.
 */
export function readPax(body: Buffer): Pax {
  const found: Record<string, Buffer> = {}
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
    const value = body.subarray(equals + 1, end - 1)
    checkRecord(key, value)
    if (sparse.test(key))
      throw new Problem('archive-type-forbidden', 'It is a sparse file. Pack without --sparse.', {
        facts: { key },
      })

    if (kept.has(key)) {
      if (found[key]) throw ambiguous(`A pax header gives ${key} twice.`)
      if (value.length === 0 || value.includes(0))
        throw ambiguous(`A pax header gives an impossible ${key}.`)
      found[key] = value
    }
    start = end
  }
  return found
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

export const ambiguous = (detail: string): Problem =>
  new Problem('archive-ambiguous', `${detail} Pack the source again with GNU tar or bsdtar.`)
