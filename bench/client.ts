import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { dice } from '../test/archives.ts'
import type { Measure } from './measure.ts'
import { sideBySide } from './side-by-side.ts'

const exec = promisify(execFile)
const rounds = 5
const files = 20_000
const totalBytes = 400e6
const goals = { gzip: 0.5, zstd: 1.2, rssMb: 250 }

/**
 * Compares how the client lists, hashes and packs a folder of 400 MB in 20,000 files with GNU tar,
 * which hashes nothing. Both write an archive to the same disk.
 */
async function run(): Promise<Measure[]> {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-bench-client-'))
  try {
    const folder = join(dir, 'source')
    await writeSource(folder)
    const archive = join(dir, 'archive')
    const facts = { rssMb: 0, cpuMs: 0 }
    const ours = async () => {
      const { stdout } = await exec(process.execPath, [
        join(import.meta.dirname, 'client-process.ts'),
        folder,
        archive,
      ])
      const { ms, rssMb, cpuMs } = JSON.parse(stdout) as {
        ms: number
        rssMb: number
        cpuMs: number
      }
      facts.rssMb = Math.max(facts.rssMb, rssMb)
      facts.cpuMs = cpuMs
      return ms
    }
    const tar = (how: string) => async () => {
      const begunAt = performance.now()
      await exec('tar', ['-c', how, '-f', archive, '-C', folder, '.'])
      return performance.now() - begunAt
    }

    const measures: Measure[] = []
    for (const [name, how] of [
      ['zstd', '--zstd'],
      ['gzip', '-z'],
    ] as const) {
      console.log(`packing ${files} files, ${totalBytes / 1e6} MB, beside tar ${how}:`)
      const { oursMs, theirsMs, ratio } = await sideBySide(rounds, { ours, theirs: tar(how) })
      const goal = goals[name]
      const ok = ratio <= goal && facts.rssMb <= goals.rssMb
      measures.push({ bench: `client-${name}`, ratio, goal, ok, oursMs, theirsMs, ...facts })
    }
    return measures
  } finally {
    await rm(dir, { recursive: true })
  }
}

/** Pieces of real source text, of many sizes, each file another one. */
async function writeSource(folder: string): Promise<void> {
  const text = await sourceText(60e6)
  const roll = dice(18)
  const mean = totalBytes / files
  for (let i = 0; i < files; i++) {
    const parent = join(folder, `folder-${i % 400}`)
    if (i < 400) await mkdir(parent, { recursive: true })
    const size = Math.floor(mean / 20 + roll(mean * 1.9))
    const at = roll(text.length - size)
    await writeFile(
      join(parent, `file-${i}.js`),
      `// ${i}\n${text.toString('latin1', at, at + size)}`,
    )
  }
}

/** Source text of installed packages. */
async function sourceText(bytes: number): Promise<Buffer> {
  const root = join(import.meta.dirname, '../node_modules')
  const found: Buffer[] = []
  let left = bytes
  for (const path of await readdir(root, { recursive: true })) {
    if (left <= 0) break
    if (!/\.(?:js|ts|json|md)$/.test(path) || !(await stat(join(root, path))).isFile()) continue
    const text = await readFile(join(root, path))
    found.push(text)
    left -= text.length
  }
  return Buffer.concat(found)
}

export const client = { about: 'packing a folder of 400 MB, beside GNU tar', run }
