import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { Sources } from '../../../gateway/src/sources/sources.ts'
import {
  entry,
  file,
  folder,
  hardLink,
  link,
  long,
  odd,
  pax,
  sparseInTwo,
  tar,
} from '../../archives.ts'

let dir: string
let sources: Sources
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-left-out-'))
  sources = await Sources.open({ dir })
})
afterEach(async () => {
  await sources[Symbol.asyncDispose]()
  await rm(dir, { recursive: true })
})

const receive = (bytes: Buffer) =>
  sources.receive(Readable.from([bytes]), { signal: AbortSignal.timeout(60_000) })
const taken = async (bytes: Buffer) => {
  const { digest, leftOut } = await receive(bytes)
  const { entries, root } = await sources.tree(digest)
  return { paths: entries.map(({ path }) => path), leftOut, root }
}
const refusal = async (bytes: Buffer): Promise<string> => {
  const problem = await receive(bytes).catch((error: unknown) => error)
  return problem instanceof Problem ? `${problem.code}: ${problem.message}` : 'taken'
}

const apple = Buffer.concat([Buffer.from('00051607', 'hex'), Buffer.alloc(40)])
const pipe = (name: string) => entry({ name, type: '6' })

test('companions of macOS are left out, with one line; files that only look like one stay', async () => {
  const { paths, leftOut } = await taken(
    tar(
      file('./._.', apple),
      folder('./'),
      file('./._a', apple),
      file('./a'),
      file('./._d', apple),
      folder('./d/'),
      file('./d/._b\x1b', apple),
      file('./d/b\x1b'),
      file('./d/.DS_Store'),
      file('._text', 'plain'),
      file('text'),
      file('._alone', apple),
    ),
  )
  expect(paths).toEqual(['._alone', '._text', 'a', 'd', 'd/b\x1b', 'text'])
  expect(leftOut).toEqual([
    expect.stringMatching(
      /^Left out 5 files that macOS adds .* such as \._\.\. With COPYFILE_DISABLE=1/,
    ),
  ])
})

test('a source with nothing left out says nothing', async () => {
  expect((await taken(tar(file('a')))).leftOut).toBeUndefined()
})

test.each([
  ['before the entry', (ignore: Buffer, bad: Buffer) => tar(ignore, file('a'), bad)],
  ['after the entry', (ignore: Buffer, bad: Buffer) => tar(bad, file('a'), ignore)],
])(
  'an entry that .dockerignore excludes is skipped, with the ignore file %s',
  async (_, archive) => {
    const bad = Buffer.concat([
      pipe('run/pipe\x1b'),
      file(Buffer.from('run/caf\xe9', 'latin1')),
      link('run/l', '..'),
      file('run/l/x'),
      hardLink('run/h', 'nothing'),
      long('L', `run/${'x'.repeat(300)}`),
      file('x'),
    ])
    const { paths, leftOut } = await taken(archive(file('.dockerignore', '# run\nrun\n'), bad))
    expect(paths).toEqual(['.dockerignore', 'a', 'run', 'run/l'])
    expect(leftOut).toEqual([
      expect.stringContaining(
        'Left out 5 entries that no source may hold and that .dockerignore excludes: run/pipe\\u{1b}, ',
      ),
    ])
  },
)

test('the ignore file may be a link or a hard link, and has exceptions', async () => {
  const rules = file('config/rules', 'run/*\n!run/keep\n')
  const linked = tar(rules, link('.dockerignore', 'config/rules'), file('a'), pipe('run/x'))
  expect((await taken(linked)).leftOut).toHaveLength(1)
  const hard = tar(rules, hardLink('.dockerignore', 'config/rules'), file('a'), pipe('run/x'))
  expect((await taken(hard)).leftOut).toHaveLength(1)
  expect(
    await refusal(tar(rules, link('.dockerignore', 'config/rules'), pipe('run/keep'))),
  ).toContain('Entry 2 "run/keep": It is a pipe')
})

test('an entry is skipped only where all tar readers find its end', async () => {
  const rules = file('.dockerignore', 'run\n')
  const sparse = sparseInTwo(Buffer.from('run/caf\xe9', 'latin1'))
  expect((await taken(tar(rules, sparse, file('a')))).paths).toEqual(['.dockerignore', 'a'])
  for (const type of ['6', 'S'])
    expect(await refusal(tar(rules, entry({ name: 'run/x', type, body: 'x' }), file('a')))).toMatch(
      /^archive-type-forbidden/,
    )
})

test('what is in .git is left out, even if it would be refused', async () => {
  const { paths, leftOut } = await taken(
    tar(file('a'), pipe('.git/pipe'), file(Buffer.from('s/.git/caf\xe9', 'latin1'))),
  )
  expect({ paths, leftOut }).toEqual({ paths: ['a'], leftOut: undefined })
})

test('names with very many folders are refused at once, whatever is ignored', async () => {
  const rules = file('.dockerignore', '**\n')
  const deep = (folders: number, name: string) => long('L', 'd/'.repeat(folders) + name)
  const one = tar(rules, deep(30_000, 'x'), file('x'))
  expect(await refusal(one)).toMatch(/^archive-path-too-long: Entry 1 /)
  const many = Array.from({ length: 12 }, (_, at) =>
    Buffer.concat([deep(2000, `${at}`), file('x')]),
  )
  expect(await refusal(tar(rules, ...many))).toMatch(/^archive-path-too-long: Entry 1 /)
  expect((await taken(tar(rules, many[0]!, file('a')))).leftOut).toHaveLength(1)
})

test('an entry that leaves the tree is refused, whatever is ignored', async () => {
  for (const name of ['../run', '/run'])
    expect(await refusal(tar(file('.dockerignore', '**\n'), file(name)))).toMatch(/^archive-path-/)
})

test('advice names the entry and the flag of the program that made the archive', async () => {
  const gnu = entry({ name: 'a', magic: 'ustar  \0', body: 'x' })
  const bsd = Buffer.concat([
    entry({ name: 'PaxHeader/a', type: 'x', body: '9 a=bcde\n' }),
    file('a'),
  ])
  expect(await refusal(tar(file('a'), pipe("./my run/it's")))).toContain(
    `Entry 1 "./my run/it's": It is a pipe (fifo). A source holds files, folders and links. Leave it out: tar cz --exclude='./my run/it'\\''s' … , or name it in .dockerignore.`,
  )
  const broken = hardLink('h', 'gone')
  expect(await refusal(tar(gnu, broken))).toContain('hard link to "gone"')
  expect(await refusal(tar(gnu, broken))).toContain('Pack it with --hard-dereference.')
  expect(await refusal(tar(bsd, broken))).toContain('Pack it with the file that it names')
  expect(await refusal(tar(file('a'), broken))).toContain('(GNU tar) or the file')
  const large = pax({ comment: 'x'.repeat(100_000) })
  expect(await refusal(tar(bsd, large, file('b')))).toContain('--no-xattrs --no-mac-metadata.')
  expect(await refusal(tar(gnu, large, file('b')))).toContain(
    'without extended attributes: --no-xattrs.',
  )
})

test('an incremental archive and one of several volumes are refused for what they are', async () => {
  const dump = entry({ name: './', type: 'D', magic: 'ustar  \0', body: 'Ya\0\0' })
  expect(await refusal(tar(dump, file('a')))).toContain('without --listed-incremental (-g)')
  expect(await refusal(tar(pax({ 'GNU.dumpdir': 'Ya\0\0' }), folder('d'), file('a')))).toContain(
    'incremental backup',
  )
  expect(await refusal(tar(entry({ type: 'M' }), file('a')))).toContain(
    'without --multi-volume (-M)',
  )
})

test.each([
  ['a GNU sparse file', 'xyz', 4096],
  ['a sparse file, pax 0.0', 'xyz', 4096],
  ['a sparse file, pax 0.1', '\0xyz', 4096],
  ['a sparse file, pax 1.0', '\0\0xyz', 10],
  ['a sparse file of nothing but a hole', '', 10],
])('%s is stored with zeros in its holes', async (name, start, sizeBytes) => {
  const { root } = await taken(odd.find(([what]) => what === name)![2])
  const whole = Buffer.alloc(sizeBytes)
  whole.write(start, 'latin1')
  expect((await readFile(join(root, 'a'))).equals(whole)).toBe(true)
})

test('a large sparse file is written as it arrives', async () => {
  const sizeBytes = 9_000_000
  const map = Buffer.alloc(512)
  map.write(`2\n0\n5\n${sizeBytes - 5}\n5\n`)
  const records = { major: '1', minor: '0', name: 'a', realsize: String(sizeBytes) }
  const keyed = Object.entries(records).map(([key, value]) => [`GNU.sparse.${key}`, value])
  const { root } = await taken(
    tar(
      pax(Object.fromEntries(keyed)),
      entry({ name: 'GNUSparseFile.0/a', body: Buffer.concat([map, Buffer.from('STARTENDED')]) }),
      file('b'),
    ),
  )
  const whole = Buffer.alloc(sizeBytes)
  whole.write('START')
  whole.write('ENDED', sizeBytes - 5)
  expect((await readFile(join(root, 'a'))).equals(whole)).toBe(true)
})

test.each([
  ['a file over the original of hard links', { a: 'later', h: 'x', i: 'x' }],
  ['a file over a hard link', { a: 'x', h: 'later' }],
  ['a hard link over another file', { a: 'x', b: 'x' }],
  ['a file twice: the last one counts', { a: 'later', b: 'x' }],
])('%s: each path has its own content', async (name, contents) => {
  const { root } = await taken(odd.find(([what]) => what === name)![2])
  for (const [path, text] of Object.entries(contents))
    expect(await readFile(join(root, path), 'utf8'), path).toBe(text)
})
