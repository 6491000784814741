import { execFileSync } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Sources } from '../../gateway/src/sources/sources.ts'
import { file, tar } from '../archives.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-intake-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,nr_inodes=60', 'tarmac-intake-test', dir])
})
afterAll(async () => {
  execFileSync('umount', [dir])
  await rm(dir, { recursive: true })
})

test.each([
  ['bytes', tar(file('big', Buffer.alloc(4 * 1024 ** 2)))],
  [
    'bytes, in small files',
    tar(...Array.from({ length: 50 }, (_, i) => file(`${i}`, Buffer.alloc(60_000)))),
  ],
  ['files', tar(...Array.from({ length: 100 }, (_, i) => file(`${i}`)))],
])(
  'a volume with no room for %s refuses, is clean afterwards, and continues to work',
  async (_, bytes) => {
    await using sources = await Sources.open({ dir })
    const receive = (body: Buffer) =>
      sources.receive(Readable.from([body]), { signal: AbortSignal.timeout(20_000) })
    await expect(receive(bytes)).rejects.toMatchObject({ code: 'no-space', status: 507 })
    expect(await readdir(join(dir, 'spool'))).toEqual([])
    await receive(tar(file('small')))
  },
)
