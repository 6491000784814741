import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { create as packWithNode } from 'tar'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { Sources } from '../../../gateway/src/sources/sources.ts'
import { dice, file, tar } from '../../archives.ts'

let dir: string
let source: string
let sources: Sources
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-intake-'))
  source = join(dir, 'source')
  await mkdir(source)
  sources = await Sources.open({ dir: join(dir, 'data') })
})
afterEach(async () => {
  await sources[Symbol.asyncDispose]()
  await rm(dir, { recursive: true })
})

const signal = AbortSignal.timeout(60_000)
const receive = (bytes: Buffer, contentDigest?: string) =>
  sources.receive(Readable.from([bytes], { objectMode: false }), { contentDigest, signal })
const left = async (of = 'spool') => readdir(join(dir, 'data', of))
const base64 = (algorithm: string, data: Buffer) =>
  createHash(algorithm).update(data).digest('base64')
/** A body that stops in the middle. */
const begun = () => {
  const body = new PassThrough()
  body.write(file('a', Buffer.alloc(200_000)).subarray(0, 100_000))
  return body
}
const refusal = async (work: Promise<unknown>): Promise<Problem> => {
  const problem = await work.catch((error: unknown) => error)
  expect(problem).toBeInstanceOf(Problem)
  expect(await left()).toEqual([])
  return problem as Problem
}
const pack = (...args: string[]): Buffer =>
  execFileSync('tar', ['-c', '-C', source, ...args], { maxBuffer: 2 ** 28 })

/** A tree with one entry of each kind that a source may hold. */
async function fillSource(): Promise<void> {
  const deep = join(source, 'deep', 'x'.repeat(120), 'y'.repeat(120))
  await mkdir(deep, { recursive: true })
  await mkdir(join(source, 'empty'))
  await mkdir(join(source, '.git'))
  await writeFile(join(source, '.git', 'HEAD'), 'ref: refs/heads/main\n')
  await writeFile(join(source, 'index.js'), 'console.log(1)\n')
  await writeFile(join(source, 'run.sh'), '#!/bin/sh\n')
  await chmod(join(source, 'run.sh'), 0o4775)
  await writeFile(join(source, 'größe – 大きさ.txt'), 'ü')
  await writeFile(join(deep, 'z'.repeat(120)), 'deep')
  await writeFile(join(source, 'big.bin'), Buffer.alloc(300_001, 'big'))
  await link(join(source, 'index.js'), join(source, 'same.js'))
  await symlink('../index.js', join(source, 'deep', 'link'))
  await symlink(`${'x'.repeat(120)}/${'y'.repeat(120)}/none`, join(source, 'deep', 'far'))
}

test.each<[string, () => Buffer]>([
  ['GNU tar', () => pack('.')],
  ['GNU tar, gzip', () => pack('-z', '.')],
  ['GNU tar, zstd', () => zstdCompressSync(pack('.'))],
  ['GNU tar, pax', () => pack('--format=pax', '.')],
  [
    'GNU tar, other times and owners',
    () => pack('--format=pax', '--owner=nobody:65534', '--mtime=2001-02-03', '.'),
  ],
  [
    'GNU tar, other order',
    () => pack('same.js', 'run.sh', 'größe – 大きさ.txt', 'empty', 'deep', 'index.js', 'big.bin'),
  ],
  ['node-tar', () => packWithNode({ cwd: source, sync: true, gzip: true }, ['.']).read() as Buffer],
])('a tree packed by %s is stored unchanged, under one digest', async (_, bytes) => {
  await fillSource()
  const facts = await receive(bytes())
  expect(facts).toEqual({
    digest: 'sha256:8d13a808cd38d6a34589b195ff5ae67ee59ac7c4db35331280975a9d30b0899a',
    files: 6,
    sizeBytes: 300_001 + 2 * 15 + 10 + 2 + 4,
  })
})

test('a stored source is on disk as its manifest says', async () => {
  await fillSource()
  const { digest } = await receive(pack('-z', '.'))
  const { root, entries } = await sources.tree(digest)
  expect(entries.map((entry) => entry.path)).toEqual(
    (await readdir(root, { recursive: true })).toSorted((a, b) =>
      Buffer.compare(Buffer.from(a.replaceAll('/', '\0')), Buffer.from(b.replaceAll('/', '\0'))),
    ),
  )

  for (const entry of entries) {
    const path = join(root, entry.path)
    if (entry.type === 'link') expect(await readlink(path)).toBe(entry.target)
    else
      expect((await stat(path)).mode & 0o7777).toBe(
        entry.type === 'file' ? entry.mode & 0o555 : 0o755,
      )
    if (entry.type !== 'file') continue
    const content = await readFile(path)
    expect(content).toHaveLength(entry.sizeBytes)
    expect(createHash('sha256').update(content).digest('hex')).toBe(entry.sha256)
    expect(content.equals(await readFile(join(source, entry.path)))).toBe(true)
    expect((await stat(path)).nlink).toBe(1)
  }
  expect(entries.find((entry) => entry.path === 'run.sh')).toMatchObject({ mode: 0o755 })
  expect(entries.some((entry) => entry.path.startsWith('.git'))).toBe(false)
})

test('the same tree is stored only once', async () => {
  const [one, two] = await Promise.all([receive(tar(file('a'))), receive(tar(file('a')))])
  expect(two).toEqual(one)
  expect(await left('trees')).toHaveLength(1)
  await expect.poll(() => left()).toEqual([])
})

test('a small source that is already stored touches no disk', async () => {
  const one = await receive(tar(file('a')))
  await rm(join(dir, 'data/spool'), { recursive: true })
  expect(await receive(tar(file('a')))).toEqual(one)
})

test('a source that is too large to wait in memory is stored as it arrives', async () => {
  const names = ['a', 'b/c', 'b/d', 'e/f/g', 'e/h', 'i', 'j']
  for (const name of names) {
    await mkdir(join(source, name, '..'), { recursive: true })
    await writeFile(join(source, name), randomBytes(1_000_000))
  }
  const { digest } = await receive(
    execFileSync('tar', ['-cC', source, '.'], { maxBuffer: 20_000_000 }),
  )
  const { root } = await sources.tree(digest)
  for (const name of names) {
    expect((await readFile(join(root, name))).equals(await readFile(join(source, name)))).toBe(true)
  }
})

test.each([
  ['tar', (bytes: Buffer) => bytes],
  ['gzip', gzipSync],
  ['zstd', zstdCompressSync],
] as const)('an archive cut anywhere leaves nothing (%s)', async (_, compress) => {
  await writeFile(join(source, 'noise'), randomBytes(100_000))
  await writeFile(join(source, 'small'), 'small')
  const whole = compress(pack('--blocking-factor=1', '.'))
  for (let part = 1; part < 16; part++) {
    const problem = await refusal(
      receive(whole.subarray(0, Math.floor((whole.length * part) / 16))),
    )
    expect(['archive-truncated', 'archive-corrupt']).toContain(problem.code)
    expect(await left('trees')).toEqual([])
  }
})

test('a digest that comes after the body is checked as one before it', async () => {
  const body = tar(file('a'))
  const receiveLate = (late: string | undefined) =>
    sources.receive(Readable.from([body], { objectMode: false }), {
      lateDigest: () => Promise.resolve(late),
      signal,
    })
  const right = `sha-256=:${base64('sha256', body)}:`
  expect(await receiveLate(right)).toMatchObject({ files: 1 })
  expect(await receiveLate(undefined), 'a proxy dropped it').toMatchObject({ files: 1 })
  const wrong = `sha-256=:${base64('sha256', Buffer.from('other'))}:`
  expect((await refusal(receiveLate(wrong))).code).toBe('digest-mismatch')
  expect((await refusal(receiveLate('sha-256=no'))).code).toBe('digest-unsupported')
})

test('a body with the right digest is accepted, with the wrong one refused', async () => {
  const body = tar(file('a'))
  await receive(body, `sha-256=:${base64('sha256', body)}:`)
  await receive(body, `md5=:AAAA:, sha-512=:${base64('sha512', body)}:`)
  expect((await refusal(receive(body, `sha-256=:${base64('sha256', file('a'))}:`))).code).toBe(
    'digest-mismatch',
  )
  expect((await refusal(receive(body, `md5=:AAAA:`))).code).toBe('digest-unsupported')
  expect((await refusal(receive(body, 'sha-256=no'))).code).toBe('digest-unsupported')
})

test('a sender that falls silent, hangs up or is stopped leaves nothing', async () => {
  await using impatient = await Sources.open({ dir: join(dir, 'data'), limits: { idleMs: 200 } })
  expect((await refusal(impatient.receive(begun(), { signal }))).code).toBe('upload-stalled')

  const broken = begun()
  setTimeout(() => broken.destroy(new Error('ECONNRESET')), 20)
  expect((await refusal(sources.receive(broken, { signal }))).code).toBe('archive-truncated')

  expect((await refusal(sources.receive(begun(), { signal: AbortSignal.timeout(20) }))).code).toBe(
    'archive-truncated',
  )

  const stopped = sources.receive(begun(), { signal })
  stopped.catch(() => {})
  await sources[Symbol.asyncDispose]()
  expect((await refusal(stopped)).code).toBe('stopping')
})

test('a refusal keeps the body open, so that an answer can be sent', async () => {
  const body = new PassThrough()
  body.write(Buffer.concat([file('../x'), Buffer.alloc(2 ** 20)]))
  expect((await refusal(sources.receive(body, { signal }))).code).toBe('archive-path-escape')
  expect(body.destroyed).toBe(false)
  body.destroy(new Error('too late to matter'))
})

test('an upload is refused at its limit, while it is being sent', async () => {
  await using small = await Sources.open({
    dir: join(dir, 'data'),
    limits: { uploadBytes: 2 ** 20 },
  })
  let sent = 0
  const endless = function* () {
    yield file('a', Buffer.alloc(2 ** 22)).subarray(0, 512)
    for (; sent < 2 ** 26; sent += 2 ** 16) yield Buffer.alloc(2 ** 16)
  }
  expect((await refusal(small.receive(Readable.from(endless()), { signal }))).code).toBe(
    'archive-too-large',
  )
  expect(sent).toBeLessThan(2 ** 22)
})

test('leftovers of an earlier process are swept; trees in use and running uploads are not', async () => {
  const { digest } = await receive(tar(file('a')))
  const spool = join(dir, 'data', 'spool')
  await mkdir(join(spool, 'receive-of-an-earlier-life', 'files'), { recursive: true })
  await sources[Symbol.asyncDispose]()

  await using later = await Sources.open({ dir: join(dir, 'data') })
  expect(await readdir(spool)).toEqual([])
  const body = new PassThrough()
  const bytes = tar(file('b', Buffer.alloc(200_000)))
  body.write(bytes.subarray(0, 1000))
  const work = later.receive(body, { signal })
  await writeFile(join(spool, 'nobody-knows'), '')
  expect(await later.sweep(new Set([digest]))).toEqual({ removed: 1 })

  body.end(bytes.subarray(1000))
  const second = (await work).digest
  // The first has no user now. The second is so new that its owner may not be recorded yet.
  expect(await later.sweep(new Set())).toEqual({ removed: 1 })
  expect(await left('trees')).toEqual([second.replace('sha256:', '')])
  await expect(later.tree(digest)).rejects.toMatchObject({ code: 'internal' })
})

test(
  'archives with damaged bytes are refused, or read as GNU tar reads them',
  { timeout: 60_000 },
  async () => {
    await writeFile(join(source, 'a'), 'a'.repeat(600))
    await mkdir(join(source, 'd'))
    await writeFile(join(source, 'd', 'n'.repeat(150)), 'b')
    await symlink('a', join(source, 'l'))
    const roll = dice(7)
    const outcomes = { refused: 0, taken: 0 }
    for (const format of ['gnu', 'pax', 'ustar', 'v7']) {
      const names = format === 'gnu' || format === 'pax' ? ['.'] : ['a', 'l']
      const whole = pack(
        '--blocking-factor=1',
        `--format=${format}`,
        '--mtime=@1',
        '--owner=0',
        '--sort=name',
        ...names,
      )
      for (let i = 0; i < 80; i++) {
        const bytes = Buffer.from(whole)
        for (let n = roll(3); n >= 0; n--)
          bytes[roll(bytes.length)] = roll(2) ? roll(256) : 0x30 + roll(10)
        resum(bytes)
        const taken = await receive(bytes).catch((error: unknown) => error as Problem)
        if (taken instanceof Problem) {
          expect(taken.code).toMatch(/^archive-/)
          outcomes.refused++
          continue
        }
        outcomes.taken++
        const { root, entries } = await sources.tree(taken.digest)
        const theirs = join(dir, `theirs-${format}-${i}`)
        await mkdir(theirs)
        // it complains about times and owners
        spawnSync('tar', ['-xm', '--no-same-owner', '-C', theirs], { input: bytes })
        for (const path of await readdir(theirs, { recursive: true }))
          expect(entries.map((entry) => entry.path)).toContain(path)
        for (const entry of entries)
          if (entry.type === 'file')
            expect(
              (await readFile(join(theirs, entry.path))).equals(
                await readFile(join(root, entry.path)),
              ),
            ).toBe(true)
      }
    }
    expect(outcomes.refused).toBeGreaterThan(100)
    expect(outcomes.taken).toBeGreaterThan(10)
    await expect.poll(() => left()).toEqual([]) // a second copy of a stored tree is removed later
  },
)

/**
 * Corrects the checksums of everything that looks like a header, so that damage passes the first
 * check.
 */
function resum(bytes: Buffer): void {
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    if (bytes.toString('latin1', at + 148, at + 150) !== '00') continue
    bytes.fill(' ', at + 148, at + 156)
    const sum = bytes.subarray(at, at + 512).reduce((total, byte) => total + byte, 0)
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1')
  }
}
