import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { listSource } from '../../../client/src/deploy/list-source.ts'
import { noRules } from '../../../client/src/ignore/folder-rules.ts'
import { CacheFolder } from '../../../client/src/sending/cache-folder.ts'
import { FileHashes } from '../../../client/src/sending/file-hashes.ts'
import { hashSource } from '../../../client/src/sending/hash-source.ts'
import {
  manifestOf,
  readKnownTree,
  writeKnownTree,
} from '../../../client/src/sending/known-tree.ts'
import { treeDigest } from '../../../api/tree.ts'

let dir: string
let folder: string
let cache: CacheFolder
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'tarmac-cache-'))
  folder = join(dir, 'source')
  mkdirSync(folder)
  cache = new CacheFolder({ XDG_CACHE_HOME: dir })
})
afterEach(() => rmSync(dir, { recursive: true }))

const { signal } = new AbortController()
const kept = join('tarmac', 'sources')
const files = () => readdirSync(join(dir, kept))

/** Hashes the folder as a deploy would that begins at this time. */
async function hashed(listedMs = Date.now() + 10_000) {
  const { entries } = await listSource(folder, noRules)
  const hashes = await FileHashes.open(cache, folder)
  const known = entries.map((entry) => entry.type === 'file' && hashes.find(entry) !== null)
  const { tree, files } = await hashSource(folder, entries, hashes, signal)
  await hashes.save(files, listedMs)
  return { known, tree }
}

test('a file is hashed again only when the file system says that it is another one', async () => {
  writeFileSync(join(folder, 'a'), 'one')
  writeFileSync(join(folder, 'b'), 'two')
  const first = await hashed()
  expect(first.known).toEqual([false, false])
  const second = await hashed()
  expect(second).toEqual({ known: [true, true], tree: first.tree })

  // The same size, and the same time of the content: only the time of the change differs.
  const { atime, mtime } = statSync(join(folder, 'a'))
  writeFileSync(join(folder, 'a'), 'six')
  utimesSync(join(folder, 'a'), atime, mtime)
  const third = await hashed()
  expect(third.known).toEqual([false, true])
  expect(third.tree.digest).not.toBe(first.tree.digest)
  expect(third.tree.digest).toBe(treeDigest(third.tree.entries))
})

test('a file that changed within 2 s before it was listed is hashed again', async () => {
  writeFileSync(join(folder, 'a'), 'one')
  const { ctimeMs } = statSync(join(folder, 'a'))
  await hashed(ctimeMs + 1500)
  expect((await hashed(ctimeMs + 2500)).known).toEqual([false])
  expect((await hashed()).known).toEqual([true])
})

test('the cache is private, has one file a folder, and drops what is old, too much or damaged', async () => {
  writeFileSync(join(folder, 'a'), 'one')
  await hashed()
  await hashed()
  const [name, ...others] = files()
  expect(others).toEqual([])
  const path = join(dir, kept, name!)
  expect([statSync(path).mode & 0o777, statSync(join(dir, kept)).mode & 0o777]).toEqual([
    0o600, 0o700,
  ])

  writeFileSync(path, '{"v":1,"files":[["a"')
  expect((await hashed()).known).toEqual([false])

  const old = join(dir, kept, 'old.json')
  writeFileSync(old, '')
  const long = Date.now() / 1000 - 31 * 24 * 3600
  utimesSync(old, long, long)
  const large = ['large-1', 'large-2'].map((each) => join(dir, kept, each))
  for (const each of large) writeFileSync(each, Buffer.alloc(80 * 2 ** 20))
  utimesSync(large[1]!, long + 3600 * 48, long + 3600 * 48)
  await cache.write(['another'], {})
  expect(files()).toHaveLength(3)
  expect(files()).toContain('large-1')
})

test('a cache that cannot be written costs nothing but its speed', async () => {
  writeFileSync(join(dir, 'tarmac'), 'in the way')
  writeFileSync(join(folder, 'a'), 'one')
  expect((await hashed()).tree).toEqual((await hashed()).tree)
})

test('a manifest says only what differs from the tree that the gateway has', async () => {
  for (const name of ['same', 'changed', 'removed']) writeFileSync(join(folder, name), name)
  const { tree: before } = await hashed()
  await writeKnownTree(cache, ['https://gateway', 'shop'], before)
  rmSync(join(folder, 'removed'))
  writeFileSync(join(folder, 'changed'), 'other')
  mkdirSync(join(folder, 'new'))
  writeFileSync(join(folder, 'new/file'), 'x')
  const { tree } = await hashed()

  const base = await readKnownTree(cache, 'https://gateway', 'shop')
  expect(base).toEqual(before)
  const manifest = manifestOf(tree, base)
  expect(manifest).toMatchObject({ digest: tree.digest, base: before.digest, removed: ['removed'] })
  expect(manifest.entries.map(({ path }) => path)).toEqual(['changed', 'new', 'new/file'])
  expect(await readKnownTree(cache, 'https://gateway', 'other')).toBeNull()
  expect(manifestOf(tree, null)).toEqual({ digest: tree.digest, entries: tree.entries })
})
