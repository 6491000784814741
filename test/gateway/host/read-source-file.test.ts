import { execFileSync } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { TreeEntry } from '#api/tree.ts'
import { openSource, sourceFileBytes } from '../../../gateway/src/host/read-source-file.ts'
import { sourceText } from '../../../gateway/src/host/source-text.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tarmac-source-'))
  await mkdir(join(root, 'etc/app'), { recursive: true })
  await writeFile(join(root, 'etc/app/fly.toml'), 'app = "web"')
})
afterEach(() => rm(root, { recursive: true, force: true }))

/** A tree that lists these files, whatever the disk holds. */
function listing(...files: (readonly [path: string, sizeBytes: number])[]) {
  const entries = files.map(([path, sizeBytes]): TreeEntry => ({
    type: 'file',
    path,
    sizeBytes,
    mode: 0o644,
    sha256: '',
  }))
  return openSource({ root, entries, digest: '', files: entries.length, sizeBytes: 0 })
}

test('reads a file of the source, also in folders; an unlisted file is not found', () => {
  const read = listing(['etc/app/fly.toml', 11])
  expect(read('etc/app/fly.toml')?.toString()).toBe('app = "web"')
  expect(read('etc/app')).toBeNull()
  expect(read('etc/../etc/app/fly.toml')).toBeNull()
  expect(read('fly.toml')).toBeNull()
})

test('a file at its limit is read, and one byte more is refused with its size, its limit and what to do', async () => {
  await truncate(join(root, 'etc/app/fly.toml'), sourceFileBytes)
  const read = listing(['etc/app/fly.toml', sourceFileBytes])
  expect(read('etc/app/fly.toml')).toHaveLength(sourceFileBytes)
  const larger = listing(['etc/app/fly.toml', sourceFileBytes + 1])
  expect(() => larger('etc/app/fly.toml')).toThrow(
    expect.objectContaining({
      code: 'source-file-too-large',
      status: 422,
      message: expect.stringContaining('Make the file smaller'),
      facts: {
        file: 'etc/app/fly.toml',
        sizeBytes: sourceFileBytes + 1,
        limitBytes: sourceFileBytes,
      },
    }),
  )
  expect(() => read('etc/app/fly.toml', 10)).toThrow(
    expect.objectContaining({ facts: expect.objectContaining({ limitBytes: 10 }) }),
  )
})

test('at most one byte beyond the limit is read from a file that is larger than the tree says', async () => {
  const path = join(root, 'etc/app/fly.toml')
  await truncate(path, 2 ** 40) // a full read would need a terabyte
  await appendFile(path, 'more')
  expect(() => listing(['etc/app/fly.toml', 11])('etc/app/fly.toml')).toThrow(
    expect.objectContaining({ facts: expect.objectContaining({ sizeBytes: sourceFileBytes + 1 }) }),
  )
})

test.each([
  ['a link in place of the file', () => symlink('/etc/passwd', join(root, 'it'))],
  ['a link in place of a folder above it', () => symlink('/etc', join(root, 'it'))],
  ['a pipe that nobody writes to', async () => void execFileSync('mkfifo', [join(root, 'it')])],
  ['a device', () => symlink('/dev/zero', join(root, 'it'))],
  ['a folder', () => mkdir(join(root, 'it/passwd'), { recursive: true })],
  ['nothing', async () => {}],
])('%s is never read', async (_, make) => {
  await make()
  const read = listing(['it', 9], ['it/passwd', 9])
  for (const path of ['it', 'it/passwd'])
    expect(() => read(path)).toThrow(
      expect.objectContaining({ code: 'source-changed', status: 503 }),
    )
})

test('leaves no file open, even after a refusal', async () => {
  await symlink('/etc', join(root, 'it'))
  const read = listing(['etc/app/fly.toml', 11], ['it/passwd', 9])
  for (let times = 0; times < 2000; times++) {
    read('etc/app/fly.toml')
    expect(() => read('it/passwd')).toThrow()
  }
  expect(Number(execFileSync('sh', ['-c', `ls /proc/${process.pid}/fd | wc -l`]))).toBeLessThan(500)
})

test('text that is not UTF-8 is refused where the real tool refuses it, and UTF-16 everywhere', () => {
  const latin = Buffer.from('# caf\xe9', 'latin1')
  expect(sourceText(latin, 'Dockerfile', 'build-failed')).toBe('# caf\ufffd')
  expect(sourceText(Buffer.from('\ufeffFROM a'), 'Dockerfile', 'build-failed')).toBe('\ufeffFROM a')
  expect(() => sourceText(latin, 'fly.toml', 'fly-config-invalid', { strict: true })).toThrow(
    'not valid UTF-8',
  )

  for (const bytes of [Buffer.from('\ufeffFROM a', 'utf16le'), Buffer.from([0xfe, 0xff, 0, 0x46])])
    expect(() => sourceText(bytes, 'web/Dockerfile', 'build-failed')).toThrow(
      expect.objectContaining({
        code: 'build-failed',
        message: expect.stringContaining('web/Dockerfile is UTF-16'),
      }),
    )
})
