import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { Header } from 'tar'
import { expect, test } from 'vitest'
import { tarBytes, tarEnd, tarHeader, tarPadding, type TarEntry } from '../../api/tar-writer.ts'
import { defaultLimits } from '../../gateway/src/sources/limits.ts'
import { Meter } from '../../gateway/src/sources/meter.ts'
import { TarReader } from '../../gateway/src/sources/archive/tar-reader.ts'

const file = (path: string, sizeBytes = 5, mode = 0o644): TarEntry => ({
  type: 'file',
  path,
  mode,
  sizeBytes,
})
const link = (path: string, target: string): TarEntry => ({ type: 'link', path, target })
const folder = (path: string): TarEntry => ({ type: 'folder', path })
const letters = (length: number) => 'a'.repeat(length)
const time = new Date(1_600_000_000_000)

/** Names around every limit of ustar, and values of every kind. */
const entries: TarEntry[] = [
  file('plain.txt'),
  file('run.sh', 5, 0o755),
  file('exact', 512),
  file('empty', 0),
  folder('folder'),
  file('folder/inside'),
  ...[98, 99, 100, 101].map((length) => file(`${letters(length - 1)}1`)),
  ...[97, 98, 99, 100].map((length) => folder(`${letters(length - 1)}2`)),
  ...[99, 100, 101].map((length) => file(`p/${letters(length - 2)}`)),
  file(`${letters(90)}/${letters(90)}`),
  file(`${letters(155)}/${letters(100)}`),
  file(`${letters(200)}/${letters(200)}`),
  folder(`${letters(90)}3/${letters(90)}`),
  file('ä'),
  folder('ö'),
  file(`${'ä'.repeat(98)}.txt`),
  file('🙂'.repeat(60)),
  link('link', 'run.sh'),
  ...[99, 100, 101, 4095].map((length) => link(`link-${length}`, letters(length))),
  link('ü', 'ü/ü'),
  link(`${letters(150)}/link`, letters(150)),
]

const contentOf = (entry: TarEntry) =>
  Buffer.alloc(entry.type === 'file' ? entry.sizeBytes : 0, 'x')
const archive = (all: readonly TarEntry[]) =>
  Buffer.concat([
    ...all.flatMap((entry) => {
      const content = contentOf(entry)
      return [tarHeader(entry, time), content, tarPadding(content.length)]
    }),
    tarEnd,
  ])

async function readByGateway(bytes: Buffer): Promise<TarEntry[]> {
  const limits = { ...defaultLimits, expandedBytes: Infinity }
  const pieces = (async function* () {
    yield bytes
  })()
  const reader = new TarReader(pieces, limits, new Meter(limits))
  const found: TarEntry[] = []
  for (let entry = await reader.next(); entry; entry = await reader.next()) {
    const { type, target, executable, sizeBytes } = entry
    const path = entry.path.replace(/\/$/, '')
    if (type === 'folder') found.push({ type, path })
    else if (type === 'link') found.push({ type, path, target })
    else found.push({ type: 'file', path, mode: executable ? 0o755 : 0o644, sizeBytes })
  }
  return found
}

test('the gateway and GNU tar read every entry as it was given', async () => {
  const bytes = archive(entries)
  expect(await readByGateway(bytes)).toEqual(entries)

  const listing = execFileSync(
    'tar',
    ['tvf', '-', '--numeric-owner', '--utc', '--quoting-style=literal'],
    { input: bytes, encoding: 'utf8' },
  )
  const shown = listing.trimEnd().split('\n')
  expect(shown.map((line) => line.replace(/ +/g, ' '))).toEqual(
    entries.map((entry) => {
      const mode = { file: '-rw-r--r--', folder: 'drwxr-xr-x', link: 'lrwxrwxrwx' }[entry.type]
      const own = entry.type === 'file' && entry.mode === 0o755 ? '-rwxr-xr-x' : mode
      const name = entry.type === 'folder' ? `${entry.path}/` : entry.path
      const target = entry.type === 'link' ? ` -> ${entry.target}` : ''
      return `${own} 0/0 ${contentOf(entry).length} 2020-09-13 12:26 ${name}${target}`
    }),
  )
})

test('the size is known before the archive is made', () => {
  expect(tarBytes(entries)).toBe(archive(entries).length)
  expect(tarBytes([])).toBe(tarEnd.length)
})

// The build daemon compares archives by their bytes. Change this digest only on purpose.
test('the same tree gives the same bytes in every version', () => {
  expect(hash('sha256', archive(entries))).toBe(
    '927065221f868c18f6503d6a05fa2ece0127396842528d5415d824f35db17f76',
  )
})

test('a size of 8 GiB or more is in both headers', async () => {
  const large = file('large', 8 ** 11)
  const header = tarHeader(large, time)
  expect(header).toHaveLength(3 * 512)
  expect(header.toString('utf8', 512, 533)).toBe('19 size=8589934592\n\0\0')
  expect(new Header(header, 1024)).toMatchObject({ path: 'large', size: 8 ** 11 })
  expect(tarHeader(file('smaller', 8 ** 11 - 1), time)).toHaveLength(512)
  await expect(readByGateway(header)).rejects.toMatchObject({ code: 'archive-truncated' })
})
