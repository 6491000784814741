import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, linkSync, mkdirSync } from 'node:fs'
import { readdir, readFile, readlink, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { sortEntries, treeDigest, type TreeEntry } from '#api/tree.ts'
import { file as tarFile, tar } from '../../archives.ts'
import { fileOf, manifestOf, openSentTrees, packOf, sha256 } from './sent-trees.ts'

let volume: Awaited<ReturnType<typeof openSentTrees>>
let dir: string
beforeEach(async () => {
  volume = await openSentTrees()
  dir = volume.dir
})
afterEach(() => volume[Symbol.asyncDispose]())

const sendTree: (typeof volume)['sendTree'] = (...args) => volume.sendTree(...args)
const sendPack: (typeof volume)['sendPack'] = (...args) => volume.sendPack(...args)
const archive: (typeof volume)['sendArchive'] = (...args) => volume.sendArchive(...args)
const objectOf = (name: string) => volume.objectOf(name)
const inTree = (digest: string, path: string) => volume.inTree(digest, path)
const filesIn = async (folder: string) =>
  existsSync(join(dir, folder))
    ? (await readdir(join(dir, folder), { recursive: true, withFileTypes: true })).filter((each) =>
        each.isFile(),
      )
    : []
const refusal = async (work: Promise<unknown>): Promise<[string, string]> => {
  const problem = await work.catch((error: unknown) => error)
  expect(problem).toBeInstanceOf(Problem)
  await spoolIsEmpty()
  return [(problem as Problem).code, (problem as Problem).message]
}
const spoolIsEmpty = () => expect.poll(() => readdir(join(dir, 'spool'))).toEqual([])
const shop = [
  fileOf('index.js', 'console.log(1)\n'),
  { type: 'folder', path: 'bin' },
  fileOf('bin/run', '#!/bin/sh\n', 0o755),
  { type: 'link', path: 'bin/again', target: 'run' },
  { type: 'folder', path: 'empty' },
] satisfies TreeEntry[]
const shopFiles = ['console.log(1)\n', '#!/bin/sh\n']
const sendShop = async (app = 'shop') => {
  await sendPack(packOf(...shopFiles), app)
  return sendTree(manifestOf(shop), app)
}

test('a tree is taken when its files were sent, and is the same as from an archive', async () => {
  const { digest, entries } = manifestOf(shop)
  expect(await sendTree({ digest, entries })).toEqual({
    state: 'missing',
    missing: [sha256('#!/bin/sh\n'), sha256('console.log(1)\n')],
    missingBytes: 25,
  })
  expect(await sendPack(packOf(...shopFiles))).toEqual({ files: 2, sizeBytes: 25 })
  const facts = { digest, files: 2, sizeBytes: 25 }
  expect(await sendTree({ digest, entries })).toEqual({ state: 'taken', ...facts })

  const tree = await volume.sources.tree(digest)
  expect(tree).toMatchObject({ ...facts, entries: sortEntries([...shop]) })
  expect(await readFile(join(tree.root, 'index.js'), 'utf8')).toBe('console.log(1)\n')
  expect(await readlink(join(tree.root, 'bin/again'))).toBe('run')
  expect((await stat(join(tree.root, 'bin/run'))).mode & 0o777).toBe(0o555)
  expect((await stat(join(tree.root, 'empty'))).isDirectory()).toBe(true)
  expect(await filesIn('incoming')).toEqual([])
  await spoolIsEmpty()
})

test('a manifest may be compressed, and its body is checked against its digest', async () => {
  await sendShop()
  const text = Buffer.from(JSON.stringify(manifestOf(shop)))
  const digestOf = (bytes: Buffer) =>
    `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`
  for (const pack of [gzipSync, zstdCompressSync])
    expect(await sendTree(pack(text), 'shop', digestOf(pack(text)))).toMatchObject({
      state: 'taken',
    })
  expect(await refusal(sendTree(text, 'shop', digestOf(Buffer.from('other'))))).toEqual([
    'digest-mismatch',
    expect.any(String),
  ])
})

test('against a base only what is new or changed is sent, and what is removed is named', async () => {
  const first = await sendShop()
  const changed = [
    fileOf('index.js', 'console.log(2)\n'),
    fileOf('new.js', '#!/bin/sh\n'),
    ...shop.filter(({ path }) => !['index.js', 'empty', 'bin/again'].includes(path)),
  ] satisfies TreeEntry[]
  const body = {
    digest: treeDigest(changed),
    base: (first as { digest: string }).digest,
    entries: changed.slice(0, 2),
    removed: ['empty', 'bin/again'],
  }
  const missing = [sha256('console.log(2)\n')]
  expect(await sendTree(body)).toEqual({ state: 'missing', missing, missingBytes: 15 })
  await sendPack(packOf('console.log(2)\n'))
  expect(await sendTree(body)).toMatchObject({ state: 'taken', files: 3 })
  expect((await volume.sources.tree(body.digest)).entries).toEqual(sortEntries(changed))
  expect(await readFile(inTree(body.digest, 'new.js'), 'utf8')).toBe('#!/bin/sh\n')
  expect((await stat(inTree(body.digest, 'new.js'))).mode & 0o777).toBe(0o444)
})

test('a base that the app has not sent, or that is gone, is unknown', async () => {
  const { digest } = (await sendShop('other')) as { digest: string }
  const body = { digest, base: digest, entries: [] }
  expect((await refusal(sendTree(body)))[0]).toBe('base-unknown')

  await sendShop()
  await rm(join(dir, 'trees'), { recursive: true })
  expect((await refusal(sendTree(body)))[0]).toBe('base-unknown')
})

test('an app learns nothing of what another app has sent, and cannot use it', async () => {
  await sendShop('other')
  await sendPack(packOf('waiting'), 'other')
  const all = [...shop, fileOf('waiting', 'waiting')]
  const ask = (entries: TreeEntry[]) => sendTree(manifestOf(entries))
  // The tree itself is on disk, and so is each file.
  expect(await ask(shop)).toMatchObject({ state: 'missing', missingBytes: 25 })
  expect(await ask(all)).toMatchObject({ state: 'missing', missingBytes: 32 })

  await sendPack(packOf(...shopFiles, 'waiting'))
  expect(await ask(all)).toMatchObject({ state: 'taken' })
  expect(await filesIn('objects')).toHaveLength(3)
})

test('what a tree from an archive holds was sent too, before and after it is in the store', async () => {
  const { digest } = await archive(
    tar(tarFile('a', Buffer.from('one')), tarFile('b', Buffer.from('two'))),
  )
  const next = [fileOf('a', 'one'), fileOf('c', 'two', 0o755)]
  expect(await sendTree(manifestOf(next))).toMatchObject({ state: 'taken' })

  volume.sources.join(digest)
  await expect.poll(() => existsSync(objectOf(sha256('one')))).toBe(true)
  const last = [fileOf('a', 'one')]
  const asked = { digest: treeDigest(last), base: digest, entries: [], removed: ['b'] }
  expect(await sendTree(asked)).toMatchObject({ state: 'taken' })
  const inode = async (path: string) => (await stat(path)).ino
  expect(await inode(inTree(asked.digest, 'a'))).toBe(await inode(objectOf(sha256('one'))))
})

test('a pack is idempotent, and one of the same files is stored once', async () => {
  const pack = packOf('one', 'two', 'one')
  for (let times = 0; times < 2; times++)
    expect(await sendPack(pack)).toEqual({ files: 2, sizeBytes: 6 })
  for (const compress of [gzipSync, zstdCompressSync])
    expect(await sendPack(compress(pack), 'other')).toEqual({ files: 2, sizeBytes: 6 })
  expect(await filesIn('objects')).toHaveLength(2)
  expect((await stat(objectOf(sha256('one')))).nlink).toBe(3)
  expect((await stat(objectOf(sha256('one')))).mode & 0o222).toBe(0)
})

test.each<[string, () => Buffer, string, string]>([
  [
    'other content',
    () => tar(tarFile(sha256('one'), Buffer.from('two'))),
    'pack-invalid',
    `Entry 0 "${sha256('one')}": The SHA-256 of its content is ${sha256('two')}.`,
  ],
  [
    'another name',
    () => tar(tarFile('index.js')),
    'pack-invalid',
    'Entry 0 "index.js": A pack holds',
  ],
  [
    'a digest in capitals',
    () => tar(tarFile(sha256('one').toUpperCase(), Buffer.from('one'))),
    'pack-invalid',
    'A pack holds',
  ],
  ['no file', () => tar(), 'archive-empty', 'It holds no files.'],
  ['half of an archive', () => packOf('one').subarray(0, 700), 'archive-truncated', ''],
  ['no archive', () => Buffer.from('a pack'.repeat(200)), 'archive-unsupported', ''],
])('a pack with %s is refused, and nothing of it is stored', async (_, make, code, text) => {
  const good = tarFile(sha256('good'), Buffer.from('good'))
  expect(await refusal(sendPack(make()))).toEqual([code, expect.stringContaining(text)])
  expect(await filesIn('objects')).toEqual([])
  expect(await filesIn('incoming')).toEqual([])
  expect(await sendPack(tar(good))).toEqual({ files: 1, sizeBytes: 4 })
})

const one = fileOf('a', 'one')
const whole = (...entries: unknown[]) => manifestOf(entries as TreeEntry[])
test.each<[string, unknown, string, string]>([
  ['no JSON', Buffer.from('{"digest":'), 'request-invalid', 'The manifest is not JSON'],
  ['other bytes', Buffer.from('{"\xff":1}', 'latin1'), 'request-invalid', 'not UTF-8'],
  ['no entries', { digest: treeDigest([one]) }, 'request-invalid', 'invalid: entries:'],
  ['a mode of its own', whole({ ...one, mode: 0o600 }), 'request-invalid', 'invalid: entries: 0:'],
  ['a device', whole({ ...one, type: 'device' }), 'request-invalid', 'invalid: entries: 0:'],
  [
    'another digest',
    { ...whole(one), digest: treeDigest([]) },
    'tree-invalid',
    'The digest of these',
  ],
  ['no files', whole({ type: 'folder', path: 'a' }), 'archive-empty', 'It holds no files.'],
  [
    'a path that leaves the tree',
    whole({ ...one, path: '../a' }),
    'archive-path-escape',
    'Entry 0',
  ],
  [
    'an absolute path',
    whole({ ...one, path: '/a' }),
    'archive-path-absolute',
    'Its path is absolute',
  ],
  ['an empty path', whole({ ...one, path: '' }), 'archive-name-invalid', 'Its name is empty'],
  ['a path with a dot', whole({ ...one, path: './a' }), 'archive-name-invalid', 'Send it as a/b/c'],
  ['a slash at the end', whole({ ...one, path: 'a/' }), 'archive-name-invalid', 'Send it as a/b/c'],
  ['a NUL', whole({ ...one, path: 'a\0b' }), 'archive-name-invalid', 'NUL'],
  ['half of a character', whole({ ...one, path: 'a\ud800' }), 'archive-name-invalid', 'UTF-8'],
  ['the history of a clone', whole({ ...one, path: '.git/a' }), 'archive-name-invalid', '.git'],
  [
    'a long name',
    whole({ ...one, path: 'a'.repeat(256) }),
    'archive-path-too-long',
    '255 in a name',
  ],
  [
    'a deep path',
    whole({ ...one, path: 'a/'.repeat(64) + 'a' }),
    'archive-path-too-long',
    '64 levels',
  ],
  [
    'a link without a target',
    whole(one, { type: 'link', path: 'b', target: '' }),
    'archive-name-invalid',
    'link without a target',
  ],
  [
    'a long target',
    whole(one, { type: 'link', path: 'b', target: 'a'.repeat(5000) }),
    'archive-path-too-long',
    '4095 bytes',
  ],
  [
    'a file below a link',
    whole({ type: 'link', path: 'b', target: '/etc' }, { ...one, path: 'b/passwd' }),
    'archive-link-escape',
    'would be written through it',
  ],
  [
    'a file below a file',
    whole(one, { ...one, path: 'a/b' }),
    'archive-duplicate-path',
    'a file, this one makes it a folder',
  ],
  ['one path twice', whole(one, { ...one, sizeBytes: 3 }), 'archive-duplicate-path', 'twice'],
  ['too many bytes', whole({ ...one, sizeBytes: 2 ** 40 }), 'archive-too-large', 'when unpacked'],
  ['a wrong size', whole({ ...one, sizeBytes: 4 }), 'tree-invalid', 'has 4 bytes'],
])('a manifest with %s is refused', async (_, body, code, text) => {
  await sendPack(packOf('one'))
  expect(await refusal(sendTree(body as object))).toEqual([code, expect.stringContaining(text)])
  expect(await readdir(join(dir, 'trees'))).toEqual([])
  expect(await sendTree(whole(one))).toMatchObject({ state: 'taken' })
})

test('links shared by 20 trees take little more than one tree', async () => {
  const big = Array.from({ length: 50 }, (_, at) => Buffer.alloc(100_000, `${at}`))
  const entries = big.map((content, at) => fileOf(`big-${at}`, content))
  await sendPack(packOf(...big))
  await sendTree(manifestOf(entries))
  const used = () => Number(execFileSync('du', ['-sk', dir], { encoding: 'utf8' }).split('\t')[0])
  const before = used()
  for (let at = 0; at < 19; at++) {
    await sendPack(packOf(`version ${at}`))
    const next = [...entries, fileOf('version', `version ${at}`)]
    expect(await sendTree(manifestOf(next))).toMatchObject({ state: 'taken' })
  }
  expect((await stat(objectOf(sha256(big[0]!)))).nlink).toBe(21)
  expect(used() - before).toBeLessThan(before * 0.15)
})

test('joined trees from archives are stored once, with the same content', async () => {
  const names = Array.from({ length: 5 }, (_, at) => `file-${at}`)
  const pack = (last: string) =>
    tar(
      ...names.map((name) => tarFile(name, Buffer.alloc(70_000, name))),
      tarFile('last', Buffer.from(last)),
    )
  const digests = []
  for (const last of ['one', 'two', 'three']) digests.push((await archive(pack(last))).digest)
  for (const digest of digests) volume.sources.join(digest)
  await expect
    .poll(async () => (await filesIn('trees')).filter(({ name }) => name === 'joined'))
    .toHaveLength(3)
  for (const name of names) expect((await stat(inTree(digests[0]!, name))).nlink).toBe(4)
  expect(await readFile(inTree(digests[2]!, 'last'), 'utf8')).toBe('three')
  await spoolIsEmpty()
})

test('a sweep removes what no tree uses, and what waited for a day', async () => {
  const { digest } = (await sendShop()) as { digest: string }
  await sendPack(packOf('waiting'))
  const stored = async () => (await filesIn('objects')).map(({ name }) => name).toSorted()
  const run = sha256('#!/bin/sh\n')
  expect(await stored()).toContain(run)

  await volume.restart()
  await volume.sources.sweep(new Set([digest]))
  // The tree has its copy that is executable, and the sweep put that into the store.
  const kept = [sha256('console.log(1)\n'), sha256('waiting'), `${run}-x`].toSorted()
  await expect.poll(stored).toEqual(kept)
  expect(await sendTree(manifestOf(shop))).toMatchObject({ state: 'taken' })

  await volume.restart()
  const own = join(dir, 'incoming/shop')
  const hours = (await readdir(own)).map(Number)
  await rename(join(own, `${Math.max(...hours)}`), join(own, `${Math.max(...hours) - 25}`))
  await volume.sources.sweep(new Set())
  expect(await stored()).toEqual([])
  expect(await readdir(join(dir, 'incoming'))).toEqual([])
  expect(await readdir(join(dir, 'trees'))).toEqual([])
})

test('a file with as many links as the file system allows is stored once more', async () => {
  await sendPack(packOf('one'))
  const object = objectOf(sha256('one'))
  const { ino } = await stat(object)
  mkdirSync(join(dir, 'links'))
  // ext4 allows 65,000.
  expect(() => {
    for (let at = 0; at < 70_000; at++) linkSync(object, join(dir, 'links', String(at)))
  }).toThrow('EMLINK')

  const { digest } = (await sendTree(whole(one))) as { digest: string }
  expect(await readFile(inTree(digest, 'a'), 'utf8')).toBe('one')
  expect((await stat(object)).ino).not.toBe(ino)
  expect((await stat(inTree(digest, 'a'))).ino).toBe((await stat(object)).ino)
  expect(await sendPack(packOf('one'))).toEqual({ files: 1, sizeBytes: 3 })
})

test('a deleted app has sent nothing', async () => {
  await sendPack(packOf('one'))
  await volume.sources.forget('shop')
  expect(await sendTree(whole(one))).toMatchObject({ state: 'missing' })
})
