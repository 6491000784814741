import { execFile } from 'node:child_process'
import {
  chmod,
  copyFile,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { TreeEntry } from '#api/tree.ts'
import { fsck } from '../../../gateway/src/sources/fsck/fsck.ts'
import type { FsckReport } from '../../../gateway/src/sources/fsck/report.ts'
import { sweepSetAside } from '../../../gateway/src/sources/fsck/set-aside.ts'
import { fileOf, manifestOf, openSentTrees, packOf, sha256 } from './sent-trees.ts'

let volume: Awaited<ReturnType<typeof openSentTrees>>
beforeEach(async () => {
  volume = await openSentTrees()
})
afterEach(() => volume[Symbol.asyncDispose]())

const check = (repair = false) => fsck(volume.dir, { repair })
const whole = { findings: [], setAside: [] }
const faults = ({ findings }: FsckReport) => findings.map(({ what }) => what)

const shared = fileOf('a/shared', 'the same in both')
const entries = (own: string): TreeEntry[] => [
  { type: 'folder', path: 'a' },
  shared,
  fileOf('own', own),
  { type: 'link', path: 'link', target: 'own' },
]
/** Two trees that have one file in common. */
async function sendTwo(): Promise<[string, string]> {
  await volume.sendPack(packOf('the same in both', 'one', 'two'))
  const digests = ['one', 'two'].map((own) => manifestOf(entries(own)).digest)
  for (const own of ['one', 'two'])
    expect(await volume.sendTree(manifestOf(entries(own)))).toMatchObject({ state: 'taken' })
  return [digests[0]!, digests[1]!]
}
/** Changes one bit, and not the size. The owner may write what is read-only after a chmod. */
async function flipBit(path: string): Promise<void> {
  const bytes = await readFile(path)
  bytes[0]! ^= 1
  await chmod(path, 0o644)
  await writeFile(path, bytes)
  await chmod(path, 0o444)
}

test('whole trees have no faults, and a repair changes nothing', async () => {
  const [one] = await sendTwo()
  await volume.sendPack(packOf('waiting'))
  const factsOf = async () => {
    const { ino, nlink, mode, ctimeMs } = await stat(volume.inTree(one, 'own'))
    return { ino, nlink, mode, ctimeMs }
  }
  const before = await factsOf()
  expect(check()).toMatchObject({ objects: 4, trees: 2, files: 4, ...whole })
  expect(check(true)).toMatchObject(whole)
  expect(await factsOf()).toEqual(before)
  expect(await readdir(volume.dir)).not.toContain('fsck')
})

test('a flipped bit is repaired from a healthy copy, in all trees', async () => {
  const [one, two] = await sendTwo()
  // A copy of its own, as in a tree from an archive that is not joined yet.
  await copyFile(volume.inTree(two, 'a/shared'), join(volume.dir, 'copy'))
  await rename(join(volume.dir, 'copy'), volume.inTree(two, 'a/shared'))
  await flipBit(volume.objectOf(sha256('the same in both')))

  const found = check()
  expect(found.findings.map(({ repaired }) => repaired)).toEqual([false, false, false])
  expect(faults(found)).toContain('its content is another than its name says')
  expect(faults(found)).toContain('its content is not what was sent')
  const repaired = check(true)
  expect(repaired).toMatchObject({ setAside: [] })
  expect(repaired.findings.every((each) => each.repaired)).toBe(true)
  for (const digest of [one, two])
    expect(await readFile(volume.inTree(digest, 'a/shared'), 'utf8')).toBe('the same in both')
  expect(check()).toMatchObject(whole)
})

test('a flipped bit is repaired from the same content with the other mode', async () => {
  await sendTwo()
  const again = [...entries('one'), fileOf('again', 'one', 0o755)]
  const { digest } = (await volume.sendTree(manifestOf(again))) as { digest: string }
  volume.sources.join(digest)
  await expect
    .poll(() => stat(volume.objectOf(`${sha256('one')}-x`)).catch(() => null))
    .not.toBe(null)
  await flipBit(volume.objectOf(sha256('one')))
  expect(check(true)).toMatchObject({ setAside: [] })
  expect(check()).toMatchObject(whole)
  expect(await readFile(volume.inTree(digest, 'own'), 'utf8')).toBe('one')
})

test('without a healthy copy the trees that hold it are set aside, and it is sent again', async () => {
  const [one, two] = await sendTwo()
  await flipBit(volume.objectOf(sha256('one')))
  expect(check()).toMatchObject({ setAside: [] })
  expect(check(true)).toMatchObject({ setAside: [one] })
  expect(await readdir(join(volume.dir, 'trees'))).toEqual([two.slice('sha256:'.length)])
  expect(check()).toMatchObject({ trees: 1, ...whole })

  const missing = [sha256('one')]
  const manifest = manifestOf(entries('one'))
  expect(await volume.sendTree(manifest)).toMatchObject({ state: 'missing', missing })
  await volume.sendPack(packOf('one'))
  expect(await volume.sendTree(manifest)).toMatchObject({ state: 'taken' })
  expect(check()).toMatchObject(whole)

  sweepSetAside(volume.dir, Date.now() + 6 * 86_400_000)
  expect(await readdir(join(volume.dir, 'set-aside'))).toHaveLength(1)
  sweepSetAside(volume.dir, Date.now() + 8 * 86_400_000)
  expect(await readdir(join(volume.dir, 'set-aside'))).toEqual([])
})

test.each<[string, string, (one: string) => Promise<void>]>([
  ['a missing file', 'it is missing', (one) => rm(volume.inTree(one, 'own'))],
  ['a missing link', 'it is missing', (one) => rm(volume.inTree(one, 'link'))],
  [
    'another link',
    'it is another link',
    async (one) => {
      await rm(volume.inTree(one, 'link'))
      await symlink('elsewhere', volume.inTree(one, 'link'))
    },
  ],
  ['a missing folder', 'it is missing', (one) => rm(volume.inTree(one, 'a'), { recursive: true })],
  [
    'a file where a folder was',
    'it is no folder',
    async (one) => {
      await rm(volume.inTree(one, 'a'), { recursive: true })
      await writeFile(volume.inTree(one, 'a'), '')
    },
  ],
  [
    'a folder where a file was',
    'it is no file',
    async (one) => {
      await rm(volume.inTree(one, 'own'))
      await mkdir(volume.inTree(one, 'own'))
    },
  ],
  [
    'an entry too many',
    'the tree has no such entry',
    (one) => writeFile(volume.inTree(one, 'more'), ''),
  ],
  [
    'another mode',
    'it has another mode than was sent',
    async (one) => {
      await copyFile(volume.inTree(one, 'own'), join(volume.dir, 'copy'))
      await chmod(join(volume.dir, 'copy'), 0o755)
      await link(join(volume.dir, 'copy'), join(volume.dir, 'again'))
      await rename(join(volume.dir, 'copy'), volume.inTree(one, 'own'))
    },
  ],
  [
    // The number of links of the stored file is too small by one.
    'a copied file',
    'it is a copy of a stored file',
    async (one) => {
      await copyFile(volume.inTree(one, 'own'), join(volume.dir, 'copy'))
      await rename(join(volume.dir, 'copy'), volume.inTree(one, 'own'))
    },
  ],
])('a tree with %s is repaired', async (_, what, harm) => {
  const [one] = await sendTwo()
  await harm(one)
  const found = check()
  expect(faults(found)).toContain(what)
  expect(found.findings.some(({ repaired }) => repaired)).toBe(false)
  expect(check(true)).toMatchObject({ setAside: [] })
  expect(check()).toMatchObject(whole)
  const own = await stat(volume.inTree(one, 'own'))
  expect(own.ino).toBe((await stat(volume.objectOf(sha256('one')))).ino)
  expect(own.nlink).toBe(2)
  expect(await readdir(join(volume.dir, 'trees'))).toHaveLength(2)
})

test('a tree whose list was changed is set aside', async () => {
  const [one] = await sendTwo()
  const manifest = join(volume.inTree(one, ''), '../manifest.json')
  await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('"own"', '"owm"'))
  expect(check(true)).toMatchObject({ setAside: [one] })
})

test('a file that waits for a tree and is damaged is removed', async () => {
  await volume.sendPack(packOf('waiting'))
  await flipBit(volume.objectOf(sha256('waiting')))
  check(true)
  expect(check()).toMatchObject({ objects: 0, ...whole })
  const asked = manifestOf([fileOf('waiting', 'waiting')])
  expect(await volume.sendTree(asked)).toMatchObject({ state: 'missing' })
})

test('tarmac-gateway fsck says what it found, and its exit code says how it ended', async () => {
  const main = join(import.meta.dirname, '../../../gateway/src/main.ts')
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [main, 'fsck', ...args], {
      env: { ...process.env, TARMAC_DATA: volume.dir, TARMAC_UID: '0' },
    }).then(
      ({ stdout }) => [0, stdout] as const,
      ({ code, stdout }: { code: number; stdout: string }) => [code, stdout] as const,
    )
  const [one] = await sendTwo()
  expect(await run()).toEqual([0, expect.stringContaining('All of them are whole.')])
  await rm(volume.inTree(one, 'own'))
  const at = volume.inTree(one, 'own').slice(volume.dir.length + 1)
  expect(await run()).toEqual([3, expect.stringContaining(`${at}: it is missing\n`)])
  expect(await run('--repair')).toEqual([0, expect.stringContaining('Repaired 1 of 1 faults.')])
  await flipBit(volume.objectOf(sha256('one')))
  const [code, json] = await run('--repair', '--json')
  expect([code, JSON.parse(json).setAside]).toEqual([4, [one]])
  expect((await run('--all'))[0]).toBe(2)
})

test('a check goes through no link of a tree, and a repair removes nothing behind one', async () => {
  const outside = await mkdtemp(join(tmpdir(), 'tarmac-outside-'))
  try {
    await writeFile(join(outside, 'precious'), 'kept')
    await volume.sendPack(packOf('one'))
    const tree = manifestOf([
      { type: 'folder', path: 'a' },
      fileOf('a/file', 'one'),
      { type: 'link', path: 'inside', target: 'a' },
      { type: 'link', path: 'outside', target: outside },
    ])
    expect(await volume.sendTree(tree)).toMatchObject({ state: 'taken' })
    expect(check(true)).toMatchObject(whole)
    expect(await readFile(join(outside, 'precious'), 'utf8')).toBe('kept')
    expect(await readFile(volume.inTree(tree.digest, 'a/file'), 'utf8')).toBe('one')
  } finally {
    await rm(outside, { recursive: true })
  }
})
