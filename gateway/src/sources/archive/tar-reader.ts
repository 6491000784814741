import { Problem } from '#api/problem.ts'
import { ByteReader } from './byte-reader.ts'
import type { Limits } from '../limits.ts'
import type { Meter } from '../meter.ts'
import { ambiguous, type Pax, readPax } from './pax.ts'
import {
  blockBytes,
  checkBeginning,
  corrupt,
  type Header,
  isZero,
  readHeader,
} from './tar-header.ts'

/** One entry as the archive has it. `path` and `target` are valid UTF-8 and otherwise unchecked. */
export type TarEntry = {
  type: 'file' | 'folder' | 'link' | 'hard-link'
  path: string
  target: string
  executable: boolean
  sizeBytes: number
}

const types: Record<string, TarEntry['type']> = {
  0: 'file',
  7: 'file',
  5: 'folder',
  2: 'link',
  1: 'hard-link',
}

/**
 * Reads a tar archive as it arrives: ustar, pax, GNU long names, v7. It refuses everything that tar
 * readers interpret differently, so every other reader sees the same tree.
 */
export class TarReader {
  readonly #input: ByteReader
  readonly #limits: Limits
  readonly #meter: Meter
  #begun = false
  #bodyBytes = 0
  #paddingBytes = 0
  #metadataBytes = 0
  /** The current entry, for error messages: its index, from 0, and its name as sent. */
  at: { entry: number; name: Buffer } = { entry: -1, name: Buffer.alloc(0) }

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
    for await (const _ of this.body());
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
      const { type } = header
      if (type === 'g') {
        if (pending) throw ambiguous('A global pax header is between an entry and its name.')
        if (Object.keys(readPax(await this.#metadata(header))).length > 0)
          throw ambiguous('A global pax header gives a name or a size.')
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
      } else
        return this.#entry(header, {
          path: pax?.path ?? long.L,
          target: pax?.linkpath ?? long.K,
          size: pax?.size,
        })
    }
  }

  /** The content of the current entry. Can be read once. */
  async *body(): AsyncGenerator<Buffer, void> {
    while (this.#bodyBytes > 0) {
      const piece = await this.#input.some(this.#bodyBytes)
      if (piece.length === 0) throw truncated()
      this.#bodyBytes -= piece.length
      yield piece
    }
    await this.wholeBody()
  }

  /** The content of the current entry in one piece, for small files. */
  async wholeBody(): Promise<Buffer> {
    const [size, padding] = [this.#bodyBytes, this.#paddingBytes]
    this.#bodyBytes = this.#paddingBytes = 0
    const body = await this.#input.take(size + padding)
    if (body.length < size + padding) throw truncated()
    return body.subarray(0, size)
  }

  /** The next header. Null after the two blocks of zeros that end an archive. */
  async #header(): Promise<Header | null> {
    const block = await this.#input.take(blockBytes)
    if (!this.#begun) checkBeginning(block)
    this.#begun = true
    if (block.length < blockBytes) throw truncated()
    if (!isZero(block)) return readHeader(block)

    const second = await this.#input.take(blockBytes)
    if (second.length < blockBytes) throw truncated()

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
    if (sizeBytes > metadataBytes || this.#metadataBytes > metadataTotalBytes)
      throw new Problem(
        'archive-too-large',
        'Its extended headers are too large. Pack without extended attributes.',
        {
          facts: { limitBytes: sizeBytes > metadataBytes ? metadataBytes : metadataTotalBytes },
        },
      )

    const paddingBytes = paddingOf(sizeBytes)
    const body = await this.#input.take(sizeBytes + paddingBytes)
    if (body.length < sizeBytes + paddingBytes) throw truncated()
    // GNU tar reads a name on into the padding. Python does so with the records of a pax header.
    if (!isZero(body.subarray(sizeBytes)))
      throw ambiguous('An extended header has text after its end.')

    return body.subarray(0, sizeBytes)
  }

  #entry(
    header: Header,
    extended: { path: Buffer | undefined; target: Buffer | undefined; size: Buffer | undefined },
  ): TarEntry {
    this.at.name = extended.path ?? header.name()

    // A folder of an incremental backup by GNU tar. Its body lists the folder's former content, and
    // is skipped.
    const isListed = header.type === 'D' && header.format === 'gnu'
    const type = isListed ? 'folder' : types[header.type]
    if (!type) {
      const detail =
        'Only files, folders and links are accepted. Pack without devices, pipes and sparse files.'
      throw new Problem('archive-type-forbidden', detail, { facts: { type: header.type } })
    }
    if (header.ambiguous) throw ambiguous('Its header has fields that its format does not have.')

    const path = decode(this.at.name)
    const { sizeBytes, executable } = header
    if (extended.size && extended.size.toString('latin1') !== String(sizeBytes)) {
      this.#meter.mayExpand(Number(extended.size))
      throw ambiguous('Its two headers give two sizes.')
    }
    if (type !== 'file' && sizeBytes > 0 && !isListed)
      throw corrupt('It has content, and is no file.')

    this.#meter.mayExpand(sizeBytes)
    this.#bodyBytes = sizeBytes
    this.#paddingBytes = paddingOf(sizeBytes)
    const target =
      type === 'link' || type === 'hard-link' ? decode(extended.target ?? header.target()) : ''
    if (type !== 'file' || !path.endsWith('/')) return { type, path, target, executable, sizeBytes }

    // In v7 a slash marks a folder. In later formats some readers see a folder, some a file.
    if (header.format !== 'v7' || sizeBytes > 0)
      throw ambiguous('It is a file by its type and a folder by its name.')

    return { type: 'folder', path, target, executable, sizeBytes }
  }
}

/** A GNU long name ends with a NUL, or with the end of its body. */
function longName(body: Buffer): Buffer {
  const stop = body.indexOf(0)
  if (stop < 0) return body
  if (!isZero(body.subarray(stop))) throw ambiguous('A long name holds a NUL byte.')
  return body.subarray(0, stop)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
function decode(name: Buffer): string {
  try {
    return utf8.decode(name)
  } catch (cause) {
    throw new Problem('archive-name-invalid', 'Its name is not UTF-8. Rename the file.', { cause })
  }
}

const paddingOf = (sizeBytes: number): number => -sizeBytes & (blockBytes - 1)

const truncated = (): Problem =>
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
