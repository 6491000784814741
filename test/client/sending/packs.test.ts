import { createHash } from 'node:crypto'
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { packOf, PackQueue } from '../../../client/src/sending/packs.ts'
import { SingleFileTar } from '../../../client/src/sending/single-file-tar.ts'

let folder: string
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'tarmac-packs-'))))
afterAll(() => rmSync(folder, { recursive: true }))

const write = (path: string, content: string | Buffer) => {
  writeFileSync(join(folder, path), content)
  const sha256 = createHash('sha256').update(content).digest('hex')
  return { path, sha256, sizeBytes: Buffer.byteLength(content), mode: 0o644 } as const
}
const mib = 2 ** 20

test('packs have about 32 MiB, and less after a broken connection', () => {
  const files = Array.from({ length: 100 }, (_, n) => ({
    sha256: String(n),
    path: String(n),
    sizeBytes: mib,
    mode: 0o644 as const,
  }))
  const queue = new PackQueue(files)
  const first = queue.next()!
  expect(first).toHaveLength(32)
  queue.putBack(first)
  queue.shrink()
  expect(queue.next()).toEqual(first.slice(0, 16))
  const left = []
  for (let pack = queue.next(); pack; pack = queue.next()) left.push(...pack)
  expect(left).toHaveLength(84)
  expect(new PackQueue([{ ...files[0]!, sizeBytes: 40 * mib }]).next()).toHaveLength(1)
})

test('a pack names each file by its hash, and is refused for one that is no longer what it was', async () => {
  const files = [write('a', 'alpha'), write('b', '')]
  const tar = zstdDecompressSync(await packOf(folder, files, 'zstd'))
  expect(tar.toString('latin1', 0, 64)).toBe(files[0]!.sha256)
  expect(tar.toString('latin1', 512, 517)).toBe('alpha')
  expect(tar.equals(await packOf(folder, files, 'none'))).toBe(true)

  for (const content of ['other', 'longer than before', 'x']) {
    writeFileSync(join(folder, 'a'), content)
    await expect(packOf(folder, files, 'zstd')).rejects.toMatchObject({
      code: 'archive-truncated',
      facts: { path: 'a' },
    })
  }
})

test('the tar of a large file is the same, read whole or in any parts', async () => {
  const file = write('large', Buffer.alloc(1_000_003, 'abc'))
  const whole = await packOf(folder, [file], 'none')
  const tar = new SingleFileTar(folder, file)
  expect(tar.sizeBytes).toBe(whole.length)
  for (const partBytes of [100, 511, 65_536, 2_000_000]) {
    let at = 0
    for (; at < whole.length; at += partBytes) {
      const part = tar.read(at, partBytes)
      if (!part.equals(whole.subarray(at, at + partBytes))) break
    }
    expect(at).toBeGreaterThanOrEqual(whole.length)
  }
  tar.close()

  appendFileSync(join(folder, 'large'), 'more')
  expect(() => new SingleFileTar(folder, file)).toThrow('large changed while it was packed')
})
