import { execFile, execFileSync } from 'node:child_process'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { dice } from '../test/archives.ts'
import { largeUpload, manyUploads } from './intake-load.ts'
import { contentDigestOf, openIntake, untar } from './intake-ways.ts'
import { writeLargeSource } from './large-source.ts'
import type { Measure } from './measure.ts'
import { median } from './side-by-side.ts'

const about =
  'receiving, checking and unpacking an upload, beside GNU tar from a pipe: [--rows 300,20000,100-mb,4-at-once,400-mb-gz,400-mb-zst,5-gb,200-at-once] [--runs 11]'
const memoryMb = 150

type Shape = {
  /** Options of GNU tar that pack it. */
  how: '' | '-z' | '--zstd'
  goal: number
  make: (folder: string) => Promise<void>
  /** This many parallel uploads, against as many parallel runs of GNU tar. */
  atOnce?: number
  /** Fewer runs, for a large one. */
  runs?: number
}
const shapes: Record<string, Shape> = {
  '300': { how: '-z', goal: 1, make: textFiles(300, 4000) },
  '20000': { how: '', goal: 2, make: textFiles(20_000, 1500) },
  '100-mb': { how: '-z', goal: 1.5, make: textFiles(100, 1_000_000) },
  '4-at-once': { how: '-z', goal: 1.5, make: textFiles(1000, 20_000), atOnce: 4 },
  '400-mb-gz': { how: '-z', goal: 1.3, make: writeLargeSource, runs: 5 },
  '400-mb-zst': { how: '--zstd', goal: 1.6, make: writeLargeSource, runs: 5 },
}
const loads = { '5-gb': largeUpload, '200-at-once': manyUploads }

/**
 * Compares our intake (it hashes every byte twice, checks every name, and names a tree by its digest)
 * with GNU tar, which does none of that. Both go from an archive on disk to synced files on disk,
 * ours through HTTP, GNU tar's through a pipe. They run alternately, and the ratio is that of the
 * medians. Nothing is removed before the end, because ext4 makes files slowly for some seconds after
 * many removals.
 */
async function run(args: string[]): Promise<Measure[]> {
  const { values } = parseArgs({
    args,
    options: {
      rows: { type: 'string', default: [...Object.keys(shapes), ...Object.keys(loads)].join(',') },
      runs: { type: 'string', default: '11' },
    },
  })
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-bench-intake-'))
  try {
    await compileOnce(join(dir, 'first'))
    const measures: Measure[] = []
    for (const row of values.rows.split(',')) {
      const shape = shapes[row]
      const load = row === '5-gb' || row === '200-at-once' ? loads[row] : null
      if (shape) measures.push(await compare(dir, row, { runs: Number(values.runs), ...shape }))
      else if (load) measures.push(await load(await mkdtemp(join(dir, 'load-'))))
      else throw new Error(`There is no row ${row}.`)
    }
    return measures
  } finally {
    await rm(dir, { recursive: true })
  }
}

/** The first process compiles TypeScript for all that follow, as the build of the appliance does. */
async function compileOnce(dir: string): Promise<void> {
  await textFiles(1, 100)(dir)
  execFileSync('tar', ['-czf', `${dir}.tgz`, '-C', dir, '.'])
  await using intake = await openIntake()
  await intake.send(createReadStream(`${dir}.tgz`), join(dir, 'volume'))
}

async function compare(
  dir: string,
  row: string,
  { how, goal, make, atOnce = 1, runs }: Shape & { runs: number },
): Promise<Measure> {
  const source = join(dir, make === writeLargeSource ? 'large' : row)
  const archive = join(dir, `${row}.tar`)
  if (!existsSync(source)) await make(source)
  await promisify(execFile)('tar', ['-c', ...(how ? [how] : []), '-f', archive, '-C', source, '.'])
  const headers = { 'content-digest': await contentDigestOf(archive) }

  await using intake = await openIntake()
  const times = { ours: [] as number[], theirs: [] as number[] }
  let theirsMb = 0
  const ways = {
    ours: (to: string) => intake.send(createReadStream(archive), to, headers),
    async theirs(to: string) {
      theirsMb = Math.max(theirsMb, await untar(createReadStream(archive), how, to))
    },
  }
  for (let i = 0; i < runs; i++)
    for (const who of i % 2 === 0 ? (['ours', 'theirs'] as const) : (['theirs', 'ours'] as const)) {
      // A tree that is there already is not written again, so each has a volume of its own.
      const folders = Array.from({ length: atOnce }, (_, n) => join(dir, `${row}-${who}-${i}-${n}`))
      for (const to of folders) await mkdir(to)
      execFileSync('sync', ['--file-system', dir])
      const start = performance.now()
      await Promise.all(folders.map((to) => ways[who](to)))
      times[who].push(performance.now() - start)
    }

  const oursMb = await intake.rssMb()
  const [us, them] = [median(times.ours), median(times.theirs)]
  console.log(
    `intake-${row}: ${us.toFixed(0)} ms (${oursMb} MB), GNU tar ${them.toFixed(0)} ms (${theirsMb} MB), medians of ${runs}`,
  )
  const ratio = Math.round((us / them) * 100) / 100
  const ok = ratio <= goal && oursMb <= memoryMb
  return { bench: `intake-${row}`, ratio, goal, ok, oursMb, theirsMb, memoryMb, runs }
}

function textFiles(files: number, bytes: number): (folder: string) => Promise<void> {
  return async (folder) => {
    const roll = dice(files)
    const words = Array.from({ length: 500 }, () => Math.floor(roll(2 ** 30)).toString(36))
    for (let i = 0; i < files; i++) {
      const parent = join(folder, `folder-${i % Math.ceil(files / 50)}`)
      await mkdir(parent, { recursive: true })
      let text = ''
      while (text.length < bytes) text += `${words[roll(words.length)]} `
      await writeFile(join(parent, `file-${i}.js`), text.slice(0, bytes))
    }
  }
}

export const intake = { about, run }
