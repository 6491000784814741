import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { installMiseStub } from './mise-stub.ts'

const run = promisify(execFile)
/**
 * The tag v0.37.0 (commit ee7025be). The recorded cases of `npm run conformance` are from a later
 * commit (b5e80580), see `bench/conformance-railpack.ts`.
 */
const pinned = '0.37.0'
const node = join(import.meta.dirname, '../../node_modules/.bin/node')

export type Planner = { path: string; version: string; standIn: boolean }
export type Search = {
  env?: NodeJS.ProcessEnv
  /** Where releases are downloaded from. Null disables downloads. */
  releases?: string | null
  /** The folder for downloads and copies. */
  cacheDir?: string
}

/**
 * The planner of this machine: TARMAC_RAILPACK, else railpack on the PATH in the pinned version,
 * else the release, else our stand-in. The result is one file that every user may run.
 */
export async function findPlanner(search: Search = {}): Promise<Planner> {
  const env = search.env ?? process.env
  const releases =
    search.releases === undefined
      ? 'https://github.com/railwayapp/railpack/releases/download'
      : search.releases
  const cacheDir =
    search.cacheDir ?? (isRoot ? '/var/cache/tarmac' : join(homedir(), '.cache/tarmac'))
  const own = env['TARMAC_RAILPACK']
  if (own) {
    const version = await versionOf(own)
    if (!version)
      throw new Error(
        `TARMAC_RAILPACK is ${own}, which does not answer \`--version\` as railpack does.`,
      )
    return asPlanner(own, version)
  }

  for (const folder of (env['PATH'] ?? '').split(delimiter).filter(Boolean)) {
    const path = join(folder, 'railpack')
    if (existsSync(path) && (await versionOf(path)) === pinned) return asPlanner(path, pinned)
  }
  const downloaded = releases && (await download(releases, cacheDir).catch(() => null))
  if (downloaded) return asPlanner(downloaded, await versionOf(downloaded))

  const path = await standInProgram(cacheDir)
  return { path, version: await versionOf(path), standIn: true }
}

const isRoot = process.getuid?.() === 0

async function asPlanner(path: string, version: string): Promise<Planner> {
  const standIn = version.endsWith('-standin')
  if (!standIn) await installMiseStub()
  return { path, version, standIn }
}

/** Empty when it is not railpack. */
async function versionOf(path: string): Promise<string> {
  const { stdout } = await run(path, ['--version'], { env: {}, timeout: 10_000 }).catch(() => ({
    stdout: '',
  }))
  return /^railpack version v?(\S+)/.exec(stdout)?.[1] ?? ''
}

/**
 * The release's program, verified by the release's own checksums. Throws when it is unavailable.
 */
async function download(releases: string, cacheDir: string): Promise<string> {
  const path = join(cacheDir, `railpack-${pinned}`)
  if (existsSync(path)) return path
  const machine = process.arch === 'arm64' ? 'arm64' : 'x86_64'
  const asset = `railpack-v${pinned}-${machine}-unknown-linux-musl.tar.gz`
  const get = (name: string, timeoutMs: number) =>
    fetch(`${releases}/v${pinned}/${name}`, { signal: AbortSignal.timeout(timeoutMs) })
  const checksums = await (await get('checksums.txt', 3_000)).text()
  const archive = Buffer.from(await (await get(asset, 60_000)).arrayBuffer())
  const digest = createHash('sha256').update(archive).digest('hex')
  if (!checksums.split('\n').some((line) => line.startsWith(digest) && line.endsWith(asset))) {
    throw new Error(`${asset} is not what its release's checksums say.`)
  }
  await mkdir(cacheDir, { recursive: true })
  const part = await mkdtemp(join(cacheDir, 'part-'))
  await writeFile(join(part, asset), archive)
  await run('tar', ['-xzf', join(part, asset), '-C', part, 'railpack'])
  await chmod(join(part, 'railpack'), 0o755)
  await rename(join(part, 'railpack'), path)
  await rm(part, { recursive: true })
  return path
}

/**
 * The stand-in as one file with its own node in it, because the planner's sandbox shows no other
 * file of this machine.
 */
export async function standInProgram(cacheDir: string): Promise<string> {
  const text = await standInScript()
  const { size, mtimeMs } = await stat(node)
  const key = createHash('sha256').update(`${text}${size}${mtimeMs}`).digest('hex').slice(0, 12)
  const path = join(cacheDir, `railpack-standin-${key}`)
  if (existsSync(path)) return path
  await mkdir(cacheDir, { recursive: true })
  const part = await mkdtemp(join(cacheDir, 'part-'))
  await writeFile(join(part, 'main.cjs'), text)
  const program = {
    main: join(part, 'main.cjs'),
    output: join(part, 'program'),
    useCodeCache: true,
  }
  await writeFile(
    join(part, 'program.json'),
    JSON.stringify({ ...program, disableExperimentalSEAWarning: true }),
  )
  await run(node, ['--build-sea', join(part, 'program.json')])
  await chmod(join(part, 'program'), 0o755)
  await rename(join(part, 'program'), path)
  await rm(part, { recursive: true })
  return path
}

/** The stand-in as one script for a Node of the machine. */
export async function standInScript(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, 'main.ts')],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
  })
  return outputFiles[0]?.text ?? ''
}
