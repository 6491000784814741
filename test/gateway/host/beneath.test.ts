import { closeSync, openSync, readFileSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { archivePieces } from '../../../gateway/src/buildkit/context/context-pieces.ts'
import { makeView } from '../../../gateway/src/buildkit/context/make-view.ts'
import { Beneath, fileFlags } from '../../../gateway/src/host/beneath.ts'
import { openSource } from '../../../gateway/src/host/read-source-file.ts'
import { treeOf } from '../buildkit/tree-of.ts'

let dir: string
let root: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-beneath-'))
  root = join(dir, 'tree')
  for (const [place, text] of [
    ['tree', 'inside'],
    ['outside', 'SECRET'],
  ] as const) {
    await mkdir(join(dir, place, 'd/e'), { recursive: true })
    for (const path of ['file', 'd/file', 'd/e/file']) await writeFile(join(dir, place, path), text)
  }
})
afterEach(() => rm(dir, { recursive: true }))

const paths = ['file', 'd/file', 'd/e/file']

test('reaches files in any order, and leaves nothing open', async () => {
  const open = () => readdirSync('/proc/self/fd').length
  const before = open()
  {
    using tree = new Beneath(root)
    for (const path of [...paths, ...paths.toReversed(), 'd/e/file', 'file'])
      expect(readFileSync(tree.at(path), 'utf8')).toBe('inside')
    expect(() => tree.at('no/file')).toThrow('ENOENT')
    expect(() => tree.at('file/x')).toThrow('ENOTDIR')
    expect(readFileSync(tree.at('d/file'), 'utf8')).toBe('inside')
  }
  expect(open()).toBe(before)
})

test('follows no link: neither a folder of the path, nor the file, nor the root', async () => {
  await symlink('d', join(root, 'l'))
  await symlink('file', join(root, 'm'))
  using tree = new Beneath(root)
  expect(() => tree.at('l/file')).toThrow(/ELOOP|ENOTDIR/)
  expect(() => openSync(tree.at('m'), fileFlags)).toThrow('ELOOP')
  await symlink(root, join(dir, 'root'))
  using linked = new Beneath(join(dir, 'root'))
  expect(() => linked.at('file')).toThrow(/ELOOP|ENOTDIR/)
})

test('links that are swapped in while a tree is read lead nobody out of it', async () => {
  const tree = treeOf(root)
  const worker = new Worker(new URL('./swapped-links.ts', import.meta.url), {
    execArgv: [],
    workerData: { root, outside: join(dir, 'outside') },
  })
  await once(worker, 'message')

  const seen: string[] = []
  const attempt = async (read: () => string | Promise<string>) => {
    const text = await Promise.resolve()
      .then(read)
      .catch(() => 'refused')
    seen.push(text)
  }
  const archived = async () => {
    // The entries have no digest of the outer files, so the reader would accept only inner ones. Here
    // it must not even read the others.
    const pieces = await Array.fromAsync(archivePieces(root, tree.entries, new Date(0)))
    return Buffer.concat(pieces).toString('latin1')
  }
  const viewed = async (at: number) => {
    const into = join(dir, `view-${at}`)
    await makeView(root, tree.entries, { ignore: [], always: [] }, into)
    return paths.map((path) => readFileSync(join(into, path), 'utf8')).join()
  }

  const until = Date.now() + 3_000
  for (let at = 0; Date.now() < until; at++) {
    for (const path of paths) {
      await attempt(() => openSource(tree)(path)!.toString())
      await attempt(() => {
        using beneath = new Beneath(root)
        const file = openSync(beneath.at(path), fileFlags)
        try {
          return readFileSync(file, 'utf8')
        } finally {
          closeSync(file)
        }
      })
    }
    await attempt(archived)
    if (at % 10 === 0) await attempt(() => viewed(at))
  }
  await worker.terminate()

  expect(seen.filter((text) => text.includes('SECRET'))).toEqual([])
  // Both happened: the swaps were met, and the tree was read between them.
  expect(seen).toContain('refused')
  expect(seen).toContain('inside')
})

test('a link of the tree leads to a file of the tree, and to no other', async () => {
  const links: [path: string, target: string][] = [
    ['l', 'd/file'],
    ['m', 'l'],
    ['folder', './d'],
    ['n', 'folder/e/../file'],
    ['out', '../outside/file'],
    ['d/up', '../../outside/file'],
    ['absolute', '/file'],
    ['circle', 'circle'],
    ['gone', 'no'],
    ['through', 'file/x'],
    ['here', '.'],
  ]
  for (const [path, target] of links) await symlink(target, join(root, path))
  const read = openSource(treeOf(root))
  const inside = ['l', 'm', 'n', 'folder/file', 'folder/e/file', 'here/here/l']
  expect(inside.map((path) => read(path)?.toString())).toEqual(inside.map(() => 'inside'))
  const nowhere = [
    'out',
    'd/up',
    'absolute',
    'circle',
    'gone',
    'through',
    'here',
    'folder',
    'd/../..',
  ]
  expect(nowhere.map((path) => read(path))).toEqual(nowhere.map(() => null))
})
