import { tarEnd, tarHeader } from '../../api/tar-writer.ts'
import { comparePaths, sortEntries, treeDigest, type TreeEntry } from '../../api/tree.ts'
import { DigestCheck } from '../../gateway/src/sources/content-digest.ts'
import { defaultLimits } from '../../gateway/src/sources/limits.ts'
import { Meter } from '../../gateway/src/sources/meter.ts'
import { findFile, hasFile } from '../../gateway/src/deployments/source-tree.ts'
import { MapInContent, readPaxSparse } from '../../gateway/src/sources/archive/sparse.ts'
import { readPax } from '../../gateway/src/sources/archive/pax.ts'
import {
  isGit,
  lenientPath,
  shownName,
  sourcePath,
} from '../../gateway/src/sources/archive/source-path.ts'
import { TarReader } from '../../gateway/src/sources/archive/tar-reader.ts'
import { hexOf } from '../../gateway/src/sources/trees/digest-hex.ts'
import { parseNewTree, readTree } from '../../gateway/src/sources/trees/read-manifest.ts'
import { TreeShape } from '../../gateway/src/sources/archive/tree-shape.ts'
import { hostileTexts, listed, repeated, type Shape, type Shapes } from './growth.ts'

/** Without the limits on one path, because the parsers must be linear by themselves. */
const limits = {
  ...defaultLimits,
  pathBytes: Infinity,
  nameBytes: Infinity,
  depth: Infinity,
  metadataBytes: Infinity,
}

async function readTar(bytes: Buffer): Promise<void> {
  const pieces = (async function* () {
    for (let at = 0; at < bytes.length; at += 64 * 1024) yield bytes.subarray(at, at + 64 * 1024)
  })()
  const reader = new TarReader(pieces, limits, new Meter(limits))
  while (await reader.next());
}

function mapFrom(text: string): void {
  const map = new MapInContent()
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += 512)
    if (map.takeBlock(bytes.subarray(at, at + 512))) return
}

const tarOf = (entries: TreeEntry[]) =>
  Buffer.concat([...entries.map((entry) => tarHeader(entry, new Date(0))), tarEnd])

const anyDigest = `sha256:${'0'.repeat(64)}`
const listOf = (entries: object[], removed: string[] = []) =>
  JSON.stringify({ digest: anyDigest, entries, removed })
const nothingSent = { sent: [], trees: '/none' }

const sorted =
  (act: (entries: TreeEntry[]) => unknown): Shape =>
  (size) => {
    const entries = listed(size, 20, (n): TreeEntry => ({
      type: 'folder',
      path: `a/folder ${n % 97}/${n}`,
    }))
    return () => act(entries)
  }

export const sources: Record<string, Shapes> = {
  'gateway/src/sources/trees/digest-hex.ts › hexOf': hostileTexts(hexOf),
  'gateway/src/sources/trees/read-manifest.ts › parseNewTree': {
    ...hostileTexts(parseNewTree),
    ...hostileTexts((path) => parseNewTree(listOf([{ type: 'folder', path }]))),
    'nested arrays': (size) => {
      const text = '['.repeat(size)
      return () => parseNewTree(text)
    },
  },
  'gateway/src/sources/trees/read-manifest.ts › readTree': {
    ...hostileTexts((path) =>
      readTree(listOf([{ type: 'link', path, target: path }]), nothingSent, limits),
    ),
    'many entries': (size) => {
      const folders = listed(size, 40, (at) => ({ type: 'folder', path: `a/${at}/b` }))
      const text = listOf(folders)
      return () => readTree(text, nothingSent, limits)
    },
    'many removed': (size) => {
      const text = listOf(
        [],
        listed(size, 10, (at) => `${at}`),
      )
      return () => readTree(text, nothingSent, limits)
    },
  },
  'gateway/src/sources/archive/source-path.ts › sourcePath': {
    ...hostileTexts((text) => sourcePath(text, limits)),
    ...hostileTexts(
      (text) => sourcePath(text, limits),
      (text) => `a${text}`,
    ),
  },
  'gateway/src/sources/archive/source-path.ts › isGit': hostileTexts(isGit),
  'gateway/src/sources/archive/source-path.ts › lenientPath': hostileTexts((text) =>
    lenientPath(Buffer.from(text)),
  ),
  'gateway/src/sources/archive/source-path.ts › shownName': hostileTexts((text) =>
    shownName(Buffer.from(text)),
  ),
  'gateway/src/sources/archive/pax.ts › readPax': {
    ...hostileTexts((text) => readPax(Buffer.from(text))),
    'many records': (size) => {
      const body = Buffer.from(repeated('9 a=bcde\n', size))
      return () => readPax(body)
    },
    'records without an equals sign': (size) => {
      const body = Buffer.from(repeated('9 abcdef\n', size))
      return () => readPax(body)
    },
  },
  'gateway/src/sources/archive/sparse.ts › readPaxSparse': {
    ...hostileTexts((map) =>
      readPaxSparse([
        ['size', '1'],
        ['numblocks', '1'],
        ['map', map],
      ]),
    ),
    'many records': (size) => {
      const records = listed(size, 10, (at): [string, string] => [
        at % 2 === 0 ? 'offset' : 'numbytes',
        String(at),
      ])
      return () => readPaxSparse([['size', '1'], ['numblocks', String(records.length)], ...records])
    },
  },
  'gateway/src/sources/archive/sparse.ts › MapInContent': {
    ...hostileTexts((text) => mapFrom(text)),
    'many parts': (size) => {
      const numbers = listed(size, 2, () => '1\n')
      return () => mapFrom(`65536\n${numbers.join('')}`)
    },
  },
  'api/tree.ts › comparePaths': hostileTexts((path) => comparePaths(`${path}a`, `${path}b`)),
  'api/tree.ts › sortEntries': { 'paths that begin alike': sorted(sortEntries) },
  'api/tree.ts › treeDigest': { 'paths that begin alike': sorted(treeDigest) },
  'gateway/src/deployments/source-tree.ts › findFile': {
    ...hostileTexts((path) => findFile({ entries: [] }, path)),
    'links with long targets': (size) => {
      const target = repeated('a/../', size)
      const entries: TreeEntry[] = [
        { type: 'folder', path: 'a' },
        { type: 'link', path: 'b', target },
      ]
      return () => findFile({ entries }, 'b')
    },
  },
  'gateway/src/deployments/source-tree.ts › hasFile': hostileTexts((path) =>
    hasFile({ entries: [] }, path),
  ),
  'gateway/src/sources/content-digest.ts › DigestCheck': {
    ...hostileTexts((text) => new DigestCheck(text)),
    'many digests': (size) => {
      const header = repeated('sha-512=:AAAA:,', size)
      const bytes = Buffer.alloc(size)
      return () => new DigestCheck(header).update(bytes)
    },
  },
  'gateway/src/sources/archive/tar-reader.ts › TarReader': {
    'many empty files': (size) => {
      const tar = tarOf(
        listed(size, 512, (at) => `f${at}`).map((path) => ({ type: 'folder', path })),
      )
      return () => readTar(tar)
    },
    'one long name': (size) => {
      const tar = tarOf([{ type: 'folder', path: repeated('a/', size) }])
      return () => readTar(tar)
    },
    'many long names': (size) => {
      const paths = listed(size, 4096, (at) => repeated(`${at}/`, 2048))
      const tar = tarOf(paths.map((path) => ({ type: 'folder', path })))
      return () => readTar(tar)
    },
    'zeros behind the end': (size) => () => readTar(Buffer.alloc(size * 10)),
  },
  'gateway/src/sources/archive/tree-shape.ts › TreeShape': {
    'many files': (size) => {
      const paths = listed(size, 20, (at) => `a${at % 100}/b${at % 1000}/c${at}`)
      return () => {
        const shape = new TreeShape(defaultLimits)
        for (const path of paths) shape.addPath('file', path)
      }
    },
    'deep folders': (size) => {
      const paths = listed(size, 1000, (at) => `${at}/${'a/'.repeat(60)}b`)
      return () => {
        const shape = new TreeShape(defaultLimits)
        for (const path of paths) shape.addPath('file', path)
      }
    },
  },
}
