import { lchown, lstat, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ownData } from '../../../gateway/src/privileged/own-data.ts'

const uid = 10_001
const isRoot = process.getuid?.() === 0

test.runIf(isRoot)(
  'the volume is the gateway’s, and what root writes there stays root’s',
  async () => {
    const data = await mkdtemp(join(tmpdir(), 'tarmac-data-'))
    try {
      const root = join(data, 'buildkit')
      await mkdir(join(data, 'trees/one'), { recursive: true })
      await mkdir(root)
      await writeFile(join(data, 'tarmac.db'), '')
      await writeFile(join(data, 'buildkitd.toml'), '')
      // A gateway that was taken over left a link for root to write through.
      const trap = join(data, 'plan-resolv.conf')
      await symlink('/etc/passwd', trap)
      await lchown(trap, uid, uid)

      await ownData(data, uid, root)
      const owner = async (name: string) => (await lstat(join(data, name))).uid
      expect(await owner('trees/one')).toBe(uid)
      expect(await owner('tarmac.db')).toBe(uid)
      expect(await owner('buildkit')).toBe(0)
      expect(await owner('buildkitd.toml')).toBe(0)
      await expect(lstat(trap)).rejects.toThrow('ENOENT')
      // Sticky: the gateway’s user can add files, and cannot replace those of root.
      expect((await lstat(data)).mode & 0o7777).toBe(0o1775)
      expect((await lstat('/etc/passwd')).uid).toBe(0)
    } finally {
      await rm(data, { recursive: true })
    }
  },
)
