import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { sortEntries, treeDigest, type TreeEntry } from '#api/tree.ts'
import { fsck } from '../../../gateway/src/sources/fsck/fsck.ts'
import { fileOf, manifestOf, openSentTrees, packOf, sha256 } from './sent-trees.ts'

let volume: Awaited<ReturnType<typeof openSentTrees>>
beforeEach(async () => {
  volume = await openSentTrees()
})
afterEach(() => volume[Symbol.asyncDispose]())

const folder = (path: string): TreeEntry => ({ type: 'folder', path })
const contents = Array.from({ length: 1200 }, (_, at) => `content ${at}\n`)
const large = [
  folder('src'),
  folder('src/a'),
  folder('src/b'),
  ...contents.map((content, at) => fileOf(`src/${at % 2 ? 'a' : 'b'}/${at}`, content)),
  fileOf('was-file', 'x'),
  folder('was-folder'),
  fileOf('was-folder/inside', 'x'),
  { type: 'link', path: 'link', target: 'src' },
] satisfies TreeEntry[]

/** The spares that are ready, as the digests of their trees. */
async function spares(): Promise<string[]> {
  const runs = await readdir(join(volume.dir, 'spares')).catch(() => [])
  const names = await Promise.all(runs.map((run) => readdir(join(volume.dir, 'spares', run))))
  return names.flat().map((name) => `sha256:${name}`)
}
const spareOf = (digest: string) => expect.poll(spares, { timeout: 15_000 }).toContain(digest)

async function sendLarge(): Promise<string> {
  await volume.sendPack(packOf(...contents, 'x'))
  const answer = await volume.sendTree(manifestOf(large))
  expect(answer).toMatchObject({ state: 'taken' })
  return (answer as { digest: string }).digest
}

const next = [
  ...large.filter(({ path }) => !/^(?:was-.*|link|src\/a.*)$/.test(path)),
  fileOf('src/a', 'new\n'),
  folder('was-file'),
  fileOf('was-file/inside', 'new\n', 0o755),
  fileOf('was-folder', 'x'),
  folder('link'),
  { type: 'link', path: 'src/b/link', target: '../a' },
] satisfies TreeEntry[]

/** The manifest of `next` against the large tree. */
const change = (base: string) => ({
  digest: treeDigest(next),
  base,
  entries: next.filter((entry) => !large.includes(entry)),
  removed: large.map(({ path }) => path).filter((path) => !next.some((each) => each.path === path)),
})

test('the next tree is made of a spare of its base, whatever changed, and is whole', async () => {
  const base = await sendLarge()
  await spareOf(base)
  const [run] = await readdir(join(volume.dir, 'spares'))
  const spare = join(volume.dir, 'spares', run!, base.slice('sha256:'.length))
  const { ino } = await stat(join(spare, 'files/src/b'))
  await volume.sendPack(packOf('new\n'))
  const { digest } = change(base)
  expect(await volume.sendTree(change(base))).toMatchObject({ state: 'taken', digest })

  // It is that folder.
  expect((await stat(volume.inTree(digest, 'src/b'))).ino).toBe(ino)
  expect((await volume.sources.tree(digest)).entries).toEqual(sortEntries(next))
  expect(await readFile(volume.inTree(digest, 'was-file/inside'), 'utf8')).toBe('new\n')
  expect((await stat(volume.inTree(digest, 'was-file/inside'))).mode & 0o777).toBe(0o555)
  // fsck compares every entry with the disk, and every file with the store.
  expect(fsck(volume.dir, { repair: false }).findings.slice(0, 9)).toEqual([])
  expect(await readFile(volume.inTree(base, 'src/a/1'), 'utf8')).toBe('content 1\n')
  expect(await spares()).not.toContain(base)
})

test('a spare whose file is gone from the store is of no harm', async () => {
  const base = await sendLarge()
  await spareOf(base)
  await rm(join(volume.dir, 'spares'), { recursive: true })
  await volume.sendPack(packOf('new\n'))
  await rm(volume.objectOf(sha256('content 1\n')))
  expect(await volume.sendTree(change(base))).toMatchObject({ state: 'taken' })
  expect((await volume.sources.tree(treeDigest(next))).entries).toEqual(sortEntries(next))
})

test('old spares, and those of an earlier gateway, are removed', async () => {
  const base = await sendLarge()
  await spareOf(base)
  await volume.restart()
  await volume.sources.sweep(new Set([base]))
  expect(await spares()).toEqual([])

  const other = manifestOf([...large, fileOf('one-more', 'x')])
  expect(await volume.sendTree(other)).toMatchObject({ state: 'taken' })
  await spareOf(other.digest)
  const [run] = await readdir(join(volume.dir, 'spares'))
  const spare = join(volume.dir, 'spares', run!, other.digest.slice('sha256:'.length))
  await mkdir(join(volume.dir, 'spares', run!, 'coming'))
  const old = Date.now() / 1000 - 3700
  await utimes(spare, old, old)
  await volume.sources.sweep(new Set([base, other.digest]))
  expect(existsSync(spare)).toBe(false)
  expect(await spares()).toEqual(['sha256:coming'])
})

test('a small tree gets no spare', async () => {
  await volume.sendPack(packOf('x'))
  const small = manifestOf([fileOf('a', 'x')])
  expect(await volume.sendTree(small)).toMatchObject({ state: 'taken' })
  await volume.restart() // waits for what runs
  expect(await spares()).toEqual([])
})
