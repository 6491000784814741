import { hash } from 'node:crypto'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { treeDigest, type TreeEntry } from '#api/tree.ts'
import { filesOf } from '../hostile/archive.ts'
import type { Random } from '../random.ts'

export type RandomSource = {
  files: Map<string, Buffer>
  entries: TreeEntry[]
  digest: string
  /** As tar, tar.gz or tar.zst. */
  archive: Buffer
}

const largest = 4 * 2 ** 20

/** A source with a few files. Its build fails at once: only its way to the disk matters here. */
export function randomSource(random: Random, before?: RandomSource): RandomSource {
  // Most changes leave most files as they were.
  const files = new Map(random.fraction() < 0.7 ? before?.files : [])
  files.set('Dockerfile', Buffer.from(`BROKEN ${random.upTo(1e9)}\n`))
  const count = 1 + random.upTo(5)
  for (let at = 0; at < count; at++) files.set(`file-${random.upTo(8)}.bin`, randomContent(random))

  const entries = [...files].map(([path, content]): TreeEntry => ({
    type: 'file',
    path,
    mode: 0o644,
    sizeBytes: content.length,
    sha256: hash('sha256', content),
  }))
  const tar = filesOf(Object.fromEntries(files))
  const pack = random.oneOf([(bytes: Buffer) => bytes, gzipSync, zstdCompressSync])
  return { files, entries, digest: treeDigest(entries), archive: pack(tar) }
}

/** Bytes that no compression makes small, of any size up to the largest. */
function randomContent(random: Random): Buffer {
  const bytes = Math.floor(largest ** random.fraction())
  const pieces: Buffer[] = []
  const seed = String(random.upTo(1e9))
  for (let at = 0; at * 64 < bytes; at++) pieces.push(hash('sha512', `${seed} ${at}`, 'buffer'))
  return Buffer.concat(pieces).subarray(0, bytes)
}
