import { tarEnd, tarHeader } from '../../api/tar-writer.ts'
import type { TreeEntry } from '../../api/tree.ts'
import { DigestCheck } from '../../gateway/src/sources/content-digest.ts'
import { defaultLimits } from '../../gateway/src/sources/limits.ts'
import { Meter } from '../../gateway/src/sources/meter.ts'
import { readPax } from '../../gateway/src/sources/archive/pax.ts'
import {
  checkCharacters,
  isGit,
  collisionKey,
  shownName,
  sourcePath,
} from '../../gateway/src/sources/archive/source-path.ts'
import { TarReader } from '../../gateway/src/sources/archive/tar-reader.ts'
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

const tarOf = (entries: TreeEntry[]) =>
  Buffer.concat([...entries.map((entry) => tarHeader(entry, new Date(0))), tarEnd])

const links =
  (path: (at: number) => string, target: (at: number) => string): Shape =>
  (size) => {
    const all = listed(size, 200, (at) => `${at}`)
    return () => {
      const shape = new TreeShape(defaultLimits)
      for (const at of all.keys()) shape.addLink(path(at), target(at))
      return shape.links()
    }
  }

export const sources: Record<string, Shapes> = {
  'gateway/src/sources/archive/source-path.ts › sourcePath': {
    ...hostileTexts((text) => sourcePath(text, limits)),
    ...hostileTexts(
      (text) => sourcePath(text, limits),
      (text) => `a${text}`,
    ),
  },
  'gateway/src/sources/archive/source-path.ts › checkCharacters': hostileTexts(checkCharacters),
  'gateway/src/sources/archive/source-path.ts › isGit': hostileTexts(isGit),
  'gateway/src/sources/archive/source-path.ts › collisionKey': {
    ...hostileTexts(collisionKey),
    ...hostileTexts(collisionKey, (text) => `é${text}`),
  },
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
    'links side by side': links(
      (at) => `link${at}`,
      (at) => `target${at}`,
    ),
    'links with many steps': links(
      (at) => `link${at}`,
      () => `${'a/../'.repeat(60)}b`,
    ),
    'a link with a long target': (size) => () =>
      new TreeShape(defaultLimits).addLink('a', repeated('. ', size)),
    'links that name each other': links(
      (at) => `link${at}`,
      (at) => `link${at + 1}`,
    ),
  },
}
