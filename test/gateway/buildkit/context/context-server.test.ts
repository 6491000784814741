import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Parser, type ReadEntry } from 'tar'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ContextServer } from '../../../../gateway/src/buildkit/context/context-server.ts'
import { largeBytes } from '../../../../gateway/src/buildkit/context/large-files.ts'
import type { SourceTree } from '../../../../gateway/src/deployments/source-tree.ts'
import { treeOf } from '../tree-of.ts'

let root: string
let server: ContextServer
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tarmac-context-'))
  server = await ContextServer.open(0, Buffer.from('key'))
})
afterEach(async () => {
  await server[Symbol.asyncDispose]()
  await rm(root, { recursive: true })
})

const long = `${'d'.repeat(90)}/${'e'.repeat(90)}/`
const longest = `${'f'.repeat(120)}/${'ä'.repeat(60)}`
const files: Record<string, string> = {
  Dockerfile: 'FROM scratch',
  [`${long}split.txt`]: 'split',
  [longest]: 'pax',
  empty: '',
  'big.bin': 'x'.repeat(3_000_000),
  run: '#!',
}

const links: Record<string, string> = { link: 'run', far: 't'.repeat(150) }

async function plant(): Promise<SourceTree> {
  for (const path of ['nothing', long, dirname(longest)])
    await mkdir(join(root, path), { recursive: true })
  for (const [path, text] of Object.entries(files)) {
    await writeFile(join(root, path), text, { mode: path === 'run' ? 0o700 : 0o600 })
  }
  for (const [path, target] of Object.entries(links)) await symlink(target, join(root, path))
  return treeOf(root)
}

type Unpacked = {
  path: string
  type: string
  mode: number | undefined
  text: string
  link: string | undefined
}

async function unpack(bytes: Buffer): Promise<Unpacked[]> {
  const found: Unpacked[] = []
  const parser = new Parser({ strict: true })
  parser.on('entry', (entry: ReadEntry) => {
    const { path, type, mode, linkpath: link } = entry
    const chunks: Buffer[] = []
    entry.on('data', (chunk: Buffer) => chunks.push(chunk))
    entry.on('end', () =>
      found.push({ path, type, mode, text: Buffer.concat(chunks).toString(), link }),
    )
  })
  await new Promise((resolve, reject) => parser.on('end', resolve).on('error', reject).end(bytes))
  return found
}

test('the archive holds the tree in order, with any file names, and has the announced length', async () => {
  const tree = await plant()
  using context = server.serveContext('app', tree, [])
  const answer = await fetch(context.url)
  const bytes = Buffer.from(await answer.arrayBuffer())
  expect(Number(answer.headers.get('content-length'))).toBe(bytes.length)

  const found = await unpack(bytes)
  // BuildKit takes the archive for one only if it begins with a plain header.
  expect(found.map(({ path }) => path.replace(/\/$/, ''))).toEqual([
    '.',
    ...tree.entries.map(({ path }) => path),
  ])
  expect(bytes.toString('latin1', 156, 157)).toBe('5')

  for (const { path, type, mode, text, link } of found) {
    if (type === 'File')
      expect([path, mode, text === files[path]]).toEqual([
        path,
        path === 'run' ? 0o755 : 0o644,
        true,
      ])
    if (type === 'Directory') expect(mode).toBe(0o755)
    if (type === 'SymbolicLink') expect(link).toBe(links[path])
  }
  expect(Buffer.from(await (await fetch(context.url)).arrayBuffer()).equals(bytes)).toBe(true)
})

test('the same source has the same address, and its bytes are sent once', async () => {
  const tree = await plant()
  using first = server.serveContext('app', tree, ['run'])
  using again = server.serveContext('app', tree, ['run'])
  using other = server.serveContext('another', tree, ['run'])
  using whole = server.serveContext('app', tree, [])
  expect(again.url).toBe(first.url)
  expect(new Set([first.url, other.url, whole.url]).size).toBe(3)

  const head = await fetch(first.url, { method: 'HEAD' })
  const etag = head.headers.get('etag')!
  expect(etag).not.toBe((await fetch(whole.url, { method: 'HEAD' })).headers.get('etag'))
  for (const method of ['HEAD', 'GET']) {
    const answer = await fetch(first.url, {
      method,
      headers: { 'if-none-match': `"old", ${etag}` },
    })
    expect([answer.status, (await answer.arrayBuffer()).byteLength]).toEqual([304, 0])
  }
})

test('a source that is not on offer is not found', async () => {
  const tree = await plant()
  const first = server.serveContext('app', tree, [])
  const second = server.serveContext('app', tree, [])
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  expect((await fetch(second.url, { method: 'HEAD' })).status).toBe(200)
  expect((await fetch(second.url, { method: 'POST' })).status).toBe(404)
  expect((await fetch(`${second.url}x`)).status).toBe(404)
  second[Symbol.dispose]()
  expect((await fetch(second.url)).status).toBe(404)
})

test.each([
  ['grew', 'Dockerfile', () => writeFile(join(root, 'Dockerfile'), 'FROM scratch\n')],
  ['has other content', 'Dockerfile', () => writeFile(join(root, 'Dockerfile'), 'FROM scratcH')],
  ['vanished', 'empty', () => rm(join(root, 'empty'))],
  [
    'is a link now',
    'run',
    () => rm(join(root, 'run')).then(() => symlink('empty', join(root, 'run'))),
  ],
  [
    'is large and has other content',
    'big.bin',
    () => writeFile(join(root, 'big.bin'), 'y'.repeat(3_000_000)),
  ],
  ['is large and shrank', 'big.bin', () => writeFile(join(root, 'big.bin'), 'x'.repeat(2_000_000))],
])('a file that %s breaks the transfer, and the server remembers it', async (_, path, change) => {
  const tree = await plant()
  using context = server.serveContext('app', tree, [])
  await change()
  await expect(fetch(context.url).then((answer) => answer.arrayBuffer())).rejects.toThrow()
  expect(context.changed()).toBe(path)
})

test('a reader that hangs up does not count as a changed source', async () => {
  const tree = await plant()
  using context = server.serveContext('app', tree, [])
  await new Promise((resolve) =>
    get(context.url, (answer) => answer.once('data', () => resolve(answer.destroy()))),
  )
  await expect(fetch(context.url).then((answer) => answer.arrayBuffer())).resolves.toBeDefined()
  expect(context.changed()).toBeNull()
})

test('a large file at the root is sent by itself; others are in the archive', async () => {
  const content = Buffer.alloc(largeBytes, 'large')
  await mkdir(join(root, 'in'))
  for (const path of ['ä model.bin', 'in/model.bin', 'left out.bin', 'tab\t.bin'])
    await writeFile(join(root, path), content, { mode: 0o755 })
  using context = server.serveContext('app', treeOf(root), ['left*'])
  expect(context.large.map(({ file }) => file.path)).toEqual(['ä model.bin'])

  const archive = await unpack(Buffer.from(await (await fetch(context.url)).arrayBuffer()))
  expect(archive.map(({ path }) => path)).toEqual(['./', 'in/', 'in/model.bin', 'tab\t.bin'])
  const { url } = context.large[0]!
  const answer = await fetch(url)
  expect(content.equals(Buffer.from(await answer.arrayBuffer()))).toBe(true)

  await writeFile(join(root, 'ä model.bin'), 'changed')
  await expect(fetch(url).then((answer) => answer.arrayBuffer())).rejects.toThrow()
  expect(context.changed()).toBe('ä model.bin')
})
