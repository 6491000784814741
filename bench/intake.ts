import { execFile, execFileSync } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Sources } from '../gateway/src/sources/sources.ts'
import { dice } from '../test/archives.ts'

export type Result = { bench: string; ratio: number; goal: number; ok: boolean }

const runs = 11

/**
 * Compares our staging (it hashes every byte, checks every name, and names a tree by its digest)
 * with GNU tar, which does none of that. Both go from an archive on disk to synced files on disk.
 * They run alternately, and the ratio is that of the medians. Nothing is removed before the end,
 * because ext4 makes files slowly for some seconds after many removals.
 */
async function run(): Promise<Result[]> {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-bench-intake-'))
  try {
    return [
      await compare(dir, 'intake-300-files', { files: 300, bytes: 4000, how: 'z' }, 1),
      await compare(dir, 'intake-20000-files', { files: 20_000, bytes: 1500, how: '' }, 2),
      await compare(dir, 'intake-100-mb', { files: 100, bytes: 1_000_000, how: 'z' }, 1.5),
      await compare(
        dir,
        'intake-4-at-once',
        { files: 1000, bytes: 20_000, how: 'z', atOnce: 4 },
        1.5,
      ),
    ]
  } finally {
    await rm(dir, { recursive: true })
  }
}

/** `atOnce`: this many parallel uploads, against as many parallel runs of GNU tar. */
type Shape = { files: number; bytes: number; how: '' | 'z'; atOnce?: number }

async function compare(dir: string, bench: string, shape: Shape, goal: number): Promise<Result> {
  const archive = join(dir, `${bench}.tar`)
  await pack(join(dir, bench), archive, shape)
  const times = { ours: [] as number[], theirs: [] as number[] }
  for (let i = 0; i < runs; i++)
    for (const who of ['ours', 'theirs'] as const) {
      const folders = Array.from({ length: shape.atOnce ?? 1 }, (_, n) =>
        join(dir, `${bench}-${who}-${i}-${n}`),
      )
      for (const to of folders) await mkdir(to)
      execFileSync('sync', ['--file-system', dir])
      const start = performance.now()
      await Promise.all(
        folders.map((to) => (who === 'ours' ? ours(archive, to) : theirs(archive, to))),
      )
      times[who].push(performance.now() - start)
    }
  const [us, them] = [median(times.ours), median(times.theirs)]
  console.log(`${bench}: ${us.toFixed(0)} ms, GNU tar ${them.toFixed(0)} ms (medians of ${runs})`)
  const ratio = Number((us / them).toFixed(2))
  return { bench, ratio, goal, ok: ratio <= goal }
}

async function pack(from: string, archive: string, { files, bytes, how }: Shape): Promise<void> {
  const roll = dice(files)
  const words = Array.from({ length: 500 }, () => Math.floor(roll(2 ** 30)).toString(36))
  for (let i = 0; i < files; i++) {
    const folder = join(from, `folder-${i % Math.ceil(files / 50)}`)
    await mkdir(folder, { recursive: true })
    let text = ''
    while (text.length < bytes) text += `${words[roll(words.length)]} `
    await writeFile(join(folder, `file-${i}.js`), text.slice(0, bytes))
  }
  execFileSync('tar', [`-c${how}f`, archive, '-C', from, '.'])
}

async function ours(archive: string, dir: string): Promise<void> {
  await using sources = await Sources.open({ dir })
  await sources.receive(createReadStream(archive), { signal: AbortSignal.timeout(120_000) })
}

async function theirs(archive: string, dir: string): Promise<void> {
  await promisify(execFile)('tar', ['-xf', archive, '-C', dir])
  await promisify(execFile)('sync', ['--file-system', dir])
}

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

export const intake = { about: 'unpacking an upload, beside GNU tar', run }

if (import.meta.main) console.log(JSON.stringify(await run()))
