import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { opsOf, type RecordedOp } from './llb-ops.ts'

const run = promisify(execFile)
const options = { cacheKey: 'app-1', platform: 'linux/amd64' }

/** railpack's own version, or null: it is not on PATH. */
export async function railpackVersion(): Promise<string | null> {
  return run('railpack', ['--version'])
    .then(({ stdout }) => /railpack version v?(\S+)/.exec(stdout)?.[1] ?? null)
    .catch(() => null)
}

export const hasBuildctl = (): Promise<boolean> =>
  run('buildctl', ['--version']).then(
    () => true,
    () => false,
  )

export type RailpackRecord = {
  example: string
  railpack: string
  options: typeof options
  plan: unknown
  ops: RecordedOp[]
}

/** The example apps of a checkout of railpack: each folder of `examples`. */
export const examplesIn = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted()

/**
 * Runs the real railpack on an example app: its plan (`prepare`), and the operations that its
 * frontend makes of the plan (`build --dump-llb`, decoded by `buildctl debug dump-llb`).
 */
export async function recordExample(
  folder: string,
  example: string,
  railpack: string,
): Promise<RailpackRecord> {
  const dir = mkdtempSync(join(tmpdir(), 'tarmac-record-'))
  const source = join(folder, example)
  try {
    const planFile = join(dir, 'plan.json')
    await run('railpack', ['prepare', source, '--hide-pretty-plan', '--plan-out', planFile])
    const { $schema: _schema, ...plan } = JSON.parse(readFileSync(planFile, 'utf8')) as {
      $schema?: string
    }
    const words = ['build', source, '--dump-llb', '--cache-key', options.cacheKey]
    const { stdout: llb } = await run('railpack', [...words, '--platform', options.platform], {
      encoding: 'buffer',
      maxBuffer: 256 << 20,
    })
    return { example, railpack, options, plan, ops: opsOf(await dumpLlb(llb)) }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** One JSON object per operation, as `buildctl debug dump-llb` prints them. */
export async function dumpLlb(llb: Uint8Array): Promise<string> {
  const child = spawn('buildctl', ['debug', 'dump-llb'], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.on('error', () => {}) // its exit code says why
  child.stdin.end(llb)
  const [printed, [code]] = await Promise.all([buffer(child.stdout), once(child, 'close')])
  if (code !== 0) throw new Error(`buildctl debug dump-llb ended with ${String(code)}`)
  return printed.toString()
}
