import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { largeSource, writeLargeSource } from './large-source.ts'
import type { Measure } from './measure.ts'
import { sideBySide } from './side-by-side.ts'

const exec = promisify(execFile)
const rounds = 5
const goals = { gzip: 0.5, zstd: 1.2, rssMb: 250 }

/**
 * Compares how the client lists, hashes and packs a folder of 400 MB in 20,000 files with GNU tar,
 * which hashes nothing. Both write an archive to the same disk.
 */
async function run(): Promise<Measure[]> {
  const dir = await mkdtemp(join(tmpdir(), 'tarmac-bench-client-'))
  try {
    const folder = join(dir, 'source')
    await writeLargeSource(folder)
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
      console.log(
        `packing ${largeSource.files} files, ${largeSource.bytes / 1e6} MB, beside tar ${how}:`,
      )
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

export const client = { about: 'packing a folder of 400 MB, beside GNU tar', run }
