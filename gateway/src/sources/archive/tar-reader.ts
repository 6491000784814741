import { Problem } from '#api/problem.ts'
import type { Limits } from '../limits.ts'
import type { Meter } from '../meter.ts'
import { flagOf, toolOf, withoutXattrs, type Tool } from './advice.ts'
import { ByteReader } from './byte-reader.ts'
import { isEmptyPax, type Pax, readPax } from './pax.ts'
import { checkMap, MapInContent, OldMap, type SparseMap } from './sparse.ts'
import {
  ambiguous,
  blockBytes,
  checkBeginning,
  corrupt,
  type Header,
  isZero,
  readHeader,
} from './tar-header.ts'
import {
  type Extended,
  hasClearEnd,
  longName,
  paddingOf,
  type TarEntry,
  tarEntry,
} from './tar-entry.ts'

const zeros = Buffer.alloc(64 * 1024)

/**
 * Reads a tar archive as it arrives: ustar, pax, GNU long names, sparse files, v7. It refuses
 * everything that tar readers interpret differently, so every other reader sees the same tree.
 */
export class TarReader {
  readonly #input: ByteReader
  readonly #limits: Limits
  readonly #meter: Meter
  #begun = false
  #bodyBytes = 0
  #paddingBytes = 0
  #metadataBytes = 0
  #map: SparseMap | null = null
  /** The current entry, for error messages: its index, from 0, and its name as sent. */
  at: { entry: number; name: Buffer } = { entry: -1, name: Buffer.alloc(0) }
  /** Whether `next` can go on behind the current entry, although the entry was refused. */
  canSkip = false
  /** The program that made the archive, as far as the headers so far show. */
  tool: Tool | null = null

  constructor(bytes: AsyncIterable<Buffer>, limits: Limits, meter: Meter) {
    this.#input = new ByteReader(bytes)
    this.#limits = limits
    this.#meter = meter
  }

  /**
   * Skips the rest of the current entry and returns the next one. Null at a valid end of the
   * archive.
   */
  async next(): Promise<TarEntry | null> {
    for await (const _ of this.#stored(this.#bodyBytes));
    await this.#padding()
    this.#map = null
    this.canSkip = false
    this.at = { entry: this.at.entry + 1, name: Buffer.alloc(0) }
    if (this.at.entry > this.#limits.entries) throw tooMany(this.#limits.entries)

    let pax: Pax | null = null
    const long: { L?: Buffer; K?: Buffer } = {}
    for (;;) {
      const pending = pax !== null || long.L !== undefined || long.K !== undefined
      const header = await this.#header()
      if (!header) {
        if (pending) throw corrupt('The archive ends between a name and its entry.')
        return null
      }
      this.tool ??= toolOf(header)
      const { type } = header
      if (type === 'g') {
        if (pending) throw ambiguous('A global pax header is between an entry and its name.')
        if (!isEmptyPax(readPax(await this.#metadata(header))))
          throw ambiguous('A global pax header gives a name, a size or a kind.')
      } else if (type === 'x') {
        if (pending) throw ambiguous('An entry has two extended headers.')
        pax = readPax(await this.#metadata(header))
      } else if (type === 'L' || type === 'K') {
        if (pax || long[type]) throw ambiguous('An entry has two long names.')
        long[type] = longName(await this.#metadata(header))
      } else if (type === 'V' && header.sizeBytes === 0) {
        // The label of the whole archive (`tar -V`). It is no entry.
        if (pending) throw ambiguous('A volume label is between an entry and its name.')
        await this.#metadata(header)
      } else return this.#entry(header, { pax, path: pax?.path ?? long.L, target: long.K })
    }
  }

  /** The first bytes of the content, without reading it. */
  peek(bytes: number): Promise<Buffer> | null {
    return this.#map || this.#bodyBytes < bytes ? null : this.#input.peek(bytes)
  }

  /** The content of the current entry, with zeros in its holes. Can be read once. */
  async *body(): AsyncGenerator<Buffer, void> {
    const { parts, sizeBytes } = this.#map ?? { parts: null, sizeBytes: 0 }
    this.#map = null
    if (!parts) yield* this.#stored(this.#bodyBytes)

    let at = 0
    for (const { offset, bytes } of [...(parts ?? []), { offset: sizeBytes, bytes: 0 }]) {
      yield* this.#hole(offset - at)
      yield* this.#stored(bytes)
      at = offset + bytes
    }
    await this.#padding()
  }

  /** The content of the current entry in one piece, for small files. */
  async wholeBody(): Promise<Buffer> {
    if (this.#map) return Buffer.concat(await Array.fromAsync(this.body()))
    const [size, padding] = [this.#bodyBytes, this.#paddingBytes]
    this.#bodyBytes = this.#paddingBytes = 0
    return (await this.#take(size + padding)).subarray(0, size)
  }

  async *#stored(bytes: number): AsyncGenerator<Buffer, void> {
    for (let left = bytes; left > 0;) {
      const piece = await this.#input.some(left)
      if (piece.length === 0) throw truncated()
      left -= piece.length
      this.#bodyBytes -= piece.length
      yield piece
    }
  }

  *#hole(bytes: number): Generator<Buffer, void> {
    for (let left = bytes; left > 0; left -= zeros.length) {
      const piece = zeros.subarray(0, left)
      this.#meter.expanded(piece.length)
      yield piece
    }
  }

  async #padding(): Promise<void> {
    const padding = this.#paddingBytes
    this.#paddingBytes = 0
    await this.#take(padding)
  }

  async #take(bytes: number): Promise<Buffer> {
    const taken = await this.#input.take(bytes)
    if (taken.length < bytes) throw truncated()
    return taken
  }

  /** The next header. Null after the two blocks of zeros that end an archive. */
  async #header(): Promise<Header | null> {
    const block = await this.#input.take(blockBytes)
    if (!this.#begun) checkBeginning(block)
    this.#begun = true
    if (block.length < blockBytes) throw truncated()
    if (!isZero(block)) return readHeader(block)

    const second = await this.#take(blockBytes)
    for (let piece = second; piece.length > 0; piece = await this.#input.some(64 * 1024))
      if (!isZero(piece)) {
        const detail =
          'The archive has data after its end, which some readers would see. Send one archive only.'
        throw new Problem('archive-trailing-data', detail)
      }

    return null
  }

  /** Reads the body of an extended header. */
  async #metadata({ type, sizeBytes }: Header): Promise<Buffer> {
    this.#metadataBytes += sizeBytes + 2 * blockBytes
    const { metadataBytes, metadataTotalBytes, pathBytes } = this.#limits
    if (sizeBytes > metadataBytes && (type === 'L' || type === 'K'))
      throw new Problem('archive-path-too-long', `A path may have ${pathBytes} bytes.`, {
        facts: { limit: pathBytes },
      })
    if (sizeBytes > metadataBytes || this.#metadataBytes > metadataTotalBytes) {
      const flag = flagOf(this.tool, withoutXattrs)
      const limitBytes = sizeBytes > metadataBytes ? metadataBytes : metadataTotalBytes
      const detail = `Its extended headers are too large. Pack without extended attributes: ${flag}.`
      throw new Problem('archive-too-large', detail, { facts: { limitBytes } })
    }

    const body = await this.#take(sizeBytes + paddingOf(sizeBytes))
    // GNU tar reads a name on into the padding. Python does so with the records of a pax header.
    if (!isZero(body.subarray(sizeBytes)))
      throw ambiguous('An extended header has text after its end.')

    return body.subarray(0, sizeBytes)
  }

  async #entry(header: Header, extended: Extended): Promise<TarEntry> {
    this.at.name = extended.path ?? header.name()
    this.#bodyBytes = header.sizeBytes
    this.#paddingBytes = paddingOf(header.sizeBytes)
    this.canSkip = hasClearEnd(header)

    const { pax } = extended
    const size = pax?.size?.toString('latin1')
    if (size !== undefined && size !== String(header.sizeBytes)) {
      this.#meter.mayExpand(Number(size))
      throw ambiguous('Its two headers give two sizes.')
    }
    // First, because a refused entry that is skipped has its map before its content too.
    if (this.canSkip) this.#map = await this.#sparseMap(header, pax)
    const entry = tarEntry(header, { ...extended, path: this.at.name })
    const sizeBytes = this.#map?.sizeBytes ?? header.sizeBytes
    this.#meter.mayExpand(sizeBytes)
    if (this.#map) checkMap(this.#map, this.#bodyBytes)
    return { ...entry, sizeBytes }
  }

  /** The map of a sparse file, wherever its format has it. Null for any other entry. */
  async #sparseMap({ type, block }: Header, pax: Pax | null): Promise<SparseMap | null> {
    const sparse = pax?.sparse
    if (type === 'S') {
      const map = new OldMap(block)
      while (map.goesOn) map.takeBlock(await this.#take(blockBytes))
      return map
    }
    if (!sparse) return null
    if (sparse.parts) return sparse

    const map = new MapInContent()
    for (let isComplete = false; !isComplete; this.#bodyBytes -= blockBytes) {
      if (this.#bodyBytes < blockBytes) throw ambiguous('The map of a sparse file has no end.')
      isComplete = map.takeBlock(await this.#take(blockBytes))
    }
    return { sizeBytes: sparse.sizeBytes, parts: map.parts }
  }
}

export const truncated = (): Problem =>
  new Problem(
    'archive-truncated',
    'The archive stops before its end-of-archive blocks. Send it again, whole.',
  )

export const tooMany = (limit: number): Problem =>
  new Problem(
    'archive-too-many-entries',
    `It may hold ${limit} files, folders and links. Leave out what is not source.`,
    { facts: { limit } },
  )
