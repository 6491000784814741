/** Builds the stand-in base images with a buildkitd and a registry of its own, and keeps the registry's storage. */
import { createHash } from 'node:crypto'
import {
  chmod,
  cp,
  link,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { startBuildkitd } from '../parts/buildkitd.ts'
import { freePort } from '../parts/ports.ts'
import { startRegistry } from '../parts/registry.ts'
import { bakedTools, caddyHash, images, npmTarballs } from '../pins.ts'
import { cacheDir, debianTree, imagesDir, tools } from '../ready.ts'
import { packGoToolchain } from './go-toolchain.ts'
import { goEnv, npmrc } from './machine-settings.ts'
import type { Step } from './progress.ts'

export async function makeBaseImages(step: Step): Promise<void> {
  const made = await mkdtemp(join(cacheDir, 'making-'))
  try {
    const context = join(made, 'context')
    await prepareContext(context, step)
    {
      const port = await freePort(20_000)
      await using registry = await startRegistry({ dir: made, port })
      await using buildkitd = await startBuildkitd({ dir: made, registryPort: port })
      for (const [index, { target, names }] of images.entries()) {
        step.say(`${names.join(', ')} (${index + 1} of ${images.length})`)
        const pushed = names.map((name) => `${registry.address}/${name}`).join(',')
        await step.run(buildCommand(buildkitd.address, context, target, pushed))
      }
    }
    await rename(join(made, 'registry'), imagesDir)
  } finally {
    await rm(made, { recursive: true, force: true })
  }
}

function buildCommand(address: string, context: string, target: string, names: string): string[] {
  const pinned = Object.entries({ ...bakedTools, caddy_hash: caddyHash })
  const baked = pinned.map(([name, value]) => `--opt=build-arg:${name.toUpperCase()}=${value}`)
  const folders = [`--local=context=${context}`, `--local=dockerfile=${context}`]
  const output = `--output=type=image,"name=${names}",push=true`
  return [
    tools.buildctl,
    '--addr',
    address,
    'build',
    '--progress=plain',
    '--frontend=dockerfile.v0',
  ].concat(baked, folders, `--opt=target=${target}`, output)
}

/** The Dockerfile and what it copies: the Debian tree, Node with npm as one prefix, mise with its plug-ins, Go. */
async function prepareContext(context: string, step: Step): Promise<void> {
  const { say, run } = step
  const node = join(context, 'node')
  const npm = join(node, 'lib/node_modules/npm')
  for (const folder of [join(node, 'bin'), join(node, 'etc'), npm])
    await mkdir(folder, { recursive: true })
  await link(debianTree, join(context, 'debian.tar')).catch(() =>
    cp(debianTree, join(context, 'debian.tar')),
  )
  await cp(join(import.meta.dirname, '../images'), context, { recursive: true })
  for (const [name, { spec, integrity }] of Object.entries(npmTarballs)) {
    say(`fetching ${spec}`)
    const [packed] = JSON.parse(
      await run(['npm', 'pack', '--json', '--pack-destination', context, spec]),
    ) as Packed[]
    const tarball = join(context, packed?.filename.replace('@', '').replace('/', '-') ?? '')
    const digest = `sha512-${createHash('sha512')
      .update(await readFile(tarball))
      .digest('base64')}`
    if (digest !== integrity) throw new Error(`${spec} is not what lab/pins.ts says: ${digest}`)
    const members =
      { node: ['package/bin/node'], npm: ['package'], mise: ['package/bin/mise'] }[name] ?? []
    const target = { node, npm, mise: join(context, 'unpacked') }[name] ?? ''
    await mkdir(target, { recursive: true })
    await run([
      'tar',
      '-xzf',
      tarball,
      '--strip-components=1',
      '--no-same-owner',
      '-C',
      target,
      ...members,
    ])
    await rm(tarball)
  }
  await rename(join(context, 'unpacked/bin/mise'), join(context, 'mise'))
  for (const program of [join(context, 'mise'), join(node, 'bin/node')]) await chmod(program, 0o755)
  for (const name of ['npm', 'npx']) {
    await chmod(join(npm, `bin/${name}-cli.js`), 0o755)
    await symlink(`../lib/node_modules/npm/bin/${name}-cli.js`, join(node, 'bin', name))
  }
  // In two places: a changed prefix hides the first, an npm that replaces itself drops the second.
  for (const file of [join(node, 'etc/npmrc'), join(npm, 'npmrc')])
    await writeFile(file, await npmrc())
  await writeFile(join(context, 'go-env'), await goEnv())
  await mkdir(join(context, 'go'))
  await packGoToolchain(join(context, `go/${bakedTools.go}.tar.gz`), step)
}

interface Packed {
  filename: string
}
