import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Sources } from '../../gateway/src/sources/sources.ts'
import { dice, hostile, limits, odd } from '../archives.ts'
import { foreign } from '../foreign-archives.ts'

/**
 * Compares our reader with GNU tar and bsdtar: they accept what we accept, and each sees the same
 * content.
 */

let dir: string
let sources: Sources
beforeAll(async () => {
  dir = await mkdtemp('/dev/shm/tarmac-tar-readers-')
  sources = await Sources.open({ dir: join(dir, 'data'), limits })
})
afterAll(async () => {
  await sources[Symbol.asyncDispose]()
  await rm(dir, { recursive: true })
})

type Listing = Record<string, string>
const tools = {
  'GNU tar': ['tar', '--no-same-owner', '-xf', 'archive'],
  // bsdtar reads entries that it cannot restore on this file system.
  bsdtar: [
    'bsdtar',
    '--no-same-owner',
    '--no-xattrs',
    '--no-acls',
    '--no-fflags',
    '-xf',
    'archive',
  ],
}

async function readByUs(bytes: Buffer): Promise<Listing | null> {
  const signal = AbortSignal.timeout(60_000)
  const facts = await sources.receive(Readable.from([bytes]), { signal }).catch(() => null)
  if (!facts) return null
  const { entries } = await sources.tree(facts.digest)
  const shown = entries.map((entry): [string, string] => {
    if (entry.type === 'file') return [entry.path, `${entry.mode === 0o755} ${entry.sha256}`]
    return [entry.path, entry.type === 'link' ? `-> ${entry.target}` : 'folder']
  })
  return Object.fromEntries(shown)
}

/**
 * What a tool makes of the archive in the work folder, or null when it fails. It can write nowhere
 * else.
 */
function readBy(tool: keyof typeof tools): Listing | null {
  const work = join(dir, 'work')
  mkdirSync(work)
  execFileSync('cp', [join(dir, 'archive'), join(work, 'archive')])
  const sandbox = [
    '--ro-bind',
    '/',
    '/',
    '--dev',
    '/dev',
    '--bind',
    work,
    work,
    '--chdir',
    work,
    '--die-with-parent',
  ]
  const { status } = spawnSync('bwrap', [...sandbox, ...tools[tool]], { timeout: 30_000 })
  rmSync(join(work, 'archive'))
  const listing = status === 0 ? listed(work) : null
  rmSync(work, { recursive: true })
  return listing
}

function listed(folder: string, prefix = ''): Listing {
  return Object.assign(
    {},
    ...readdirSync(folder).map((name) => {
      if (name.toLowerCase() === '.git') return {} // our reader leaves it out
      const [path, full] = [prefix + name, join(folder, name)]
      const facts = lstatSync(full)
      if (facts.isSymbolicLink()) return { [path]: `-> ${readlinkSync(full)}` }
      if (facts.isDirectory()) return { [path]: 'folder', ...listed(full, `${path}/`) }
      const sha256 = createHash('sha256').update(readFileSync(full)).digest('hex')
      return { [path]: `${(facts.mode & 0o100) !== 0} ${sha256}` }
    }),
  ) as Listing
}

/** Returns true when our reader accepted it. */
async function compare(bytes: Buffer, what: string): Promise<boolean> {
  const ours = await readByUs(bytes)
  if (!ours) return false
  writeFileSync(join(dir, 'archive'), bytes)
  const others = [readBy('GNU tar'), readBy('bsdtar')]
  expect(others.filter(Boolean), `${what}: both end with an error`).not.toEqual([])
  for (const listing of others) if (listing) expect(ours, what).toEqual(listing)
  return true
}

const isPlain = (bytes: Buffer) => bytes[0] !== 0x1f && bytes[0] !== 0x28

test('an accepted archive is what GNU tar and bsdtar see', async () => {
  for (const [what, , bytes] of [...odd, ...foreign])
    if (isPlain(bytes)) expect(await compare(bytes, what), what).toBe(true)
})

/** Fields of a header, and positions that only some formats use. */
const places = [
  0, 99, 100, 107, 108, 116, 124, 135, 136, 147, 156, 157, 257, 262, 263, 264, 265, 329, 337, 345,
  357,
]
const morePlaces = [
  369, 385, 386, 398, 475, 476, 482, 483, 488, 495, 499, 500, 508, 511, 512, 513, 520, 600, 1023,
]
const changes = [
  'x',
  '/',
  ' ',
  '0',
  '7',
  '\0',
  '\0x',
  '\n',
  '..',
  'x/',
  '14524757000',
  'tar\0',
  'ustar',
  '\x80',
  '\xff',
]
const types = ['0', '\0', '1', '2', '5', '7', 'D', 'g', 'x', 'L', 'K', 'S', 'V', 'M', 'N']

/** The archive with one or two changed header bytes and corrected checksums. */
function changed(bytes: Buffer, roll: ReturnType<typeof dice>): Buffer {
  const copy = Buffer.from(bytes)
  for (let left = 1 + roll(2); left > 0; left--) {
    const block = 512 * roll(Math.max(1, copy.length / 512 - 3))
    const all = [...places, ...morePlaces]
    const place = all[roll(all.length)]!
    const text = place === 156 ? types[roll(types.length)]! : changes[roll(changes.length)]!
    copy.write(text, block + place, 'latin1')
    if (!/^[0-7 ]+$/.test(copy.toString('latin1', block + 148, block + 154))) continue
    copy.fill(' ', block + 148, block + 156)
    const sum = copy.subarray(block, block + 512).reduce((total, byte) => total + byte, 0)
    copy.write(`${sum.toString(8).padStart(6, '0')}\0 `, block + 148, 'latin1')
  }
  return copy
}

test(
  'an archive that was changed anywhere is refused, or is what both see',
  { timeout: 120_000 },
  async () => {
    const seed = Number(process.env['TARMAC_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    console.log(`changed archives: TARMAC_SEED=${seed}`)
    const roll = dice(seed)
    const plain = [...odd, ...foreign, ...hostile].flatMap(([, , bytes]) =>
      Buffer.isBuffer(bytes) && isPlain(bytes) && bytes.length >= 2048 && bytes.length < 20_000
        ? [bytes]
        : [],
    )
    let taken = 0
    for (let round = 0; taken < 60; round++) {
      const bytes = changed(plain[roll(plain.length)]!, roll)
      if (await compare(bytes, `seed ${seed}, round ${round}`)) taken++
    }
  },
)
