import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { writeOwnFile } from '../../../gateway/src/host/privileged/own-file.ts'

test('a file of root is never written through a link that another user has made', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-own-'))
  try {
    const [path, other] = [join(dir, 'plan-resolv.conf'), join(dir, 'other')]
    await writeFile(other, 'of the machine')
    for (const link of [path, `${path}.new`]) await symlink(other, link)
    writeOwnFile(path, 'nameserver 1.1.1.1')
    expect(await readFile(path, 'utf8')).toBe('nameserver 1.1.1.1')
    expect(await readFile(other, 'utf8')).toBe('of the machine')
  } finally {
    await rm(dir, { recursive: true })
  }
})
