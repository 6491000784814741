import { ambiguous, blockBytes, isZero, readNumber } from './tar-header.ts'

/** A file with holes: its whole size, and where its stored parts belong, in order. */
export type SparseMap = { sizeBytes: number; parts: Part[] }
type Part = { offset: number; bytes: number }

/** The most parts of one sparse file. */
export const maxParts = 65_536

/** What pax records say about a sparse file: a map, or that the map is in the content. */
export type PaxSparse = SparseMap | { sizeBytes: number; parts: null }

/**
 * Reads the `GNU.sparse` records of one pax header, in their order and without that prefix. There
 * are three forms (GNU tar's manual, "Sparse Formats"): 0.0 has a record for each number, 0.1 has
 * all numbers in one record, 1.0 has them before the content.
 */
export function readPaxSparse(records: readonly [key: string, value: string][]): PaxSparse {
  const single = new Map(records)
  const numbers = (...keys: string[]) =>
    records.filter(([key]) => keys.includes(key)).map(([, value]) => readDecimal(value))
  const sizes = numbers('size', 'realsize')
  const sizeBytes = sizes[0]
  if (sizeBytes === undefined || sizes.some((size) => size !== sizeBytes))
    throw wrongMap('it gives no size, or two')

  if (single.has('major') || single.has('minor')) {
    if (single.get('major') !== '1' || single.get('minor') !== '0')
      throw wrongMap('its form is not 0.0, 0.1 or 1.0')
    if (single.has('map') || single.has('offset')) throw wrongMap('it has two forms')
    return { sizeBytes, parts: null }
  }

  const map = single.get('map')
  if (map !== undefined && single.has('offset')) throw wrongMap('it has two forms')
  const flat = map === undefined ? numbers('offset', 'numbytes') : map.split(',').map(readDecimal)
  const order = records.filter(([key]) => key === 'offset' || key === 'numbytes')
  if (order.some(([key], at) => key !== (at % 2 === 0 ? 'offset' : 'numbytes')))
    throw wrongMap('its numbers are out of order')
  const counts = numbers('numblocks')
  if (counts.length !== 1 || flat.length !== 2 * counts[0]!)
    throw wrongMap('it does not have as many parts as it says')
  return { sizeBytes, parts: pairs(flat) }
}

/** Reads the map before the content of a file in form 1.0, block by block. */
export class MapInContent {
  readonly #numbers: number[] = []
  #rest = ''

  /** Takes the next block of the content. True when the map is complete. */
  takeBlock(block: Buffer): boolean {
    const text = this.#rest + block.toString('latin1')
    let start = 0
    while (!this.#isComplete()) {
      const end = text.indexOf('\n', start)
      if (end < 0) break
      this.#numbers.push(readDecimal(text.slice(start, end)))
      start = end + 1
      if (this.#numbers[0]! > maxParts) throw wrongMap(`it has more than ${maxParts} parts`)
    }
    this.#rest = text.slice(start)
    if (!this.#isComplete()) {
      if (this.#rest.length > 20) throw wrongMap('it holds a number that is too long')
      return false
    }
    if (!isZero(Buffer.from(this.#rest, 'latin1'))) throw wrongMap('there is text behind it')
    return true
  }

  get parts(): Part[] {
    return pairs(this.#numbers.slice(1))
  }

  #isComplete(): boolean {
    const [count] = this.#numbers
    return count !== undefined && this.#numbers.length === 1 + 2 * count
  }
}

/** Reads the map of a GNU sparse file (type S): 4 parts in its header, 21 in each further block. */
export class OldMap {
  readonly parts: Part[] = []
  readonly sizeBytes: number
  #goesOn: boolean

  constructor(header: Buffer) {
    this.sizeBytes = readNumber(header, 483, 495, 'size')
    this.#goesOn = flag(header[482]!)
    this.#take(header, 386, 4)
  }

  get goesOn(): boolean {
    return this.#goesOn
  }

  takeBlock(block: Buffer): void {
    this.#goesOn = flag(block[504]!)
    this.#take(block, 0, 21)
    if (!isZero(block.subarray(505, blockBytes))) throw wrongMap('there is text behind it')
    if (this.parts.length > maxParts) throw wrongMap(`it has more than ${maxParts} parts`)
  }

  #take(block: Buffer, from: number, count: number): void {
    let ended = false
    for (let at = from; at < from + count * 24; at += 24) {
      ended ||= isZero(block.subarray(at, at + 24))
      if (ended && !isZero(block.subarray(at, at + 24))) throw wrongMap('it has a gap')
      if (ended) continue
      const offset = readNumber(block, at, at + 12, 'map')
      this.parts.push({ offset, bytes: readNumber(block, at + 12, at + 24, 'map') })
    }
    // GNU tar reads no further block then; other readers do.
    if (ended && this.#goesOn) throw wrongMap('it has a gap')
  }
}

/**
 * Checks a map against the size of the stored content. The last part has to end at the end of the
 * file: what follows it, some readers leave out.
 */
export function checkMap({ sizeBytes, parts }: SparseMap, storedBytes: number): void {
  let end = 0
  let stored = 0
  for (const { offset, bytes } of parts) {
    if (offset < end) throw wrongMap('its parts overlap or are out of order')
    end = offset + bytes
    stored += bytes
  }
  if (end !== sizeBytes) throw wrongMap('its last part does not end with the file')
  if (stored !== storedBytes) throw wrongMap('its parts are not as large as the stored content')
}

function pairs(numbers: number[]): Part[] {
  const parts: Part[] = []
  for (let at = 0; at < numbers.length; at += 2)
    parts.push({ offset: numbers[at]!, bytes: numbers[at + 1]! })
  return parts
}

function readDecimal(text: string): number {
  if (!/^(?:0|[1-9]\d{0,14})$/.test(text)) throw wrongMap('it holds something that is no number')
  return Number(text)
}

function flag(byte: number): boolean {
  if (byte > 1) throw wrongMap('it does not say whether it goes on')
  return byte === 1
}

const wrongMap = (why: string) => ambiguous(`It is a sparse file with a wrong map: ${why}.`)
