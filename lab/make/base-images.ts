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

type Tarball = { spec: string; integrity: string }
type Image = { target: string; names: string[] }
type ImageSet = {
  /** Where the registry's storage is kept. */
  kept: string
  images: Image[]
  /** Puts the Dockerfile and what it copies into the context. */
  prepare: (context: string, step: Step) => Promise<void>
}

export const makeBaseImages = (step: Step): Promise<void> =>
  makeImages({ kept: imagesDir, images, prepare: prepareContext }, step)

export async function makeImages(set: ImageSet, step: Step): Promise<void> {
  const made = await mkdtemp(join(cacheDir, 'making-'))
  try {
    const context = join(made, 'context')
    await mkdir(context)
    await set.prepare(context, step)
    {
      const port = await freePort(20_000)
      await using registry = await startRegistry({ dir: made, port })
      await using buildkitd = await startBuildkitd({ dir: made, registryPort: port })
      for (const [index, { target, names }] of set.images.entries()) {
        step.say(`${names.join(', ')} (${index + 1} of ${set.images.length})`)
        const pushed = names.map((name) => `${registry.address}/${name}`).join(',')
        await step.run(buildCommand(buildkitd.address, context, target, pushed))
      }
    }
    await rename(join(made, 'registry'), set.kept)
  } finally {
    await rm(made, { recursive: true, force: true })
  }
}

function buildCommand(address: string, context: string, target: string, names: string): string[] {
  const pinned = Object.entries({ ...bakedTools, caddy_hash: caddyHash })
  const baked = pinned.map(([name, value]) => `--opt=build-arg:${name.toUpperCase()}=${value}`)
  const folders = [`--local=context=${context}`, `--local=dockerfile=${context}`]
  // Set-up must be quick, and its images never leave this machine.
  const output = `--output=type=image,"name=${names}",push=true,compression-level=1`
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
  await linkDebianTree(context)
  await cp(join(import.meta.dirname, '../images'), context, { recursive: true })
  const { mise, ...node } = npmTarballs
  await unpackNode(context, node, step)
  await unpackPackage(mise, { folder: context, members: ['package/bin/mise'] }, step)
  await rename(join(context, 'bin/mise'), join(context, 'mise'))
  await chmod(join(context, 'mise'), 0o755)
  await writeFile(join(context, 'go-env'), await goEnv())
  await mkdir(join(context, 'go'))
  await packGoToolchain(join(context, `go/${bakedTools.go}.tar.gz`), step)
}

export async function linkDebianTree(context: string): Promise<void> {
  const tree = join(context, 'debian.tar')
  await link(debianTree, tree).catch(() => cp(debianTree, tree))
}

/** Node and npm as one prefix in `node/`, with the npm settings of this machine. */
export async function unpackNode(
  context: string,
  tarballs: { node: Tarball; npm: Tarball },
  step: Step,
): Promise<void> {
  const node = join(context, 'node')
  const npm = join(node, 'lib/node_modules/npm')
  await mkdir(join(node, 'etc'), { recursive: true })
  await unpackPackage(tarballs.node, { folder: node, members: ['package/bin/node'] }, step)
  await unpackPackage(tarballs.npm, { folder: npm, members: ['package'] }, step)
  await chmod(join(node, 'bin/node'), 0o755)
  for (const name of ['npm', 'npx']) {
    await chmod(join(npm, `bin/${name}-cli.js`), 0o755)
    await symlink(`../lib/node_modules/npm/bin/${name}-cli.js`, join(node, 'bin', name))
  }
  // In two places: a changed prefix hides the first, an npm that replaces itself drops the second.
  for (const file of [join(node, 'etc/npmrc'), join(npm, 'npmrc')])
    await writeFile(file, await npmrc())
}

/** Unpacks these members of a package of npm, after a check of its digest. */
async function unpackPackage(
  { spec, integrity }: Tarball,
  { folder, members }: { folder: string; members: string[] },
  { say, run }: Step,
): Promise<void> {
  say(`fetching ${spec}`)
  await mkdir(folder, { recursive: true })
  const [packed] = JSON.parse(
    await run(['npm', 'pack', '--json', '--pack-destination', folder, spec]),
  ) as Packed[]
  const tarball = join(folder, packed?.filename.replace('@', '').replace('/', '-') ?? '')
  const hash = createHash('sha512').update(await readFile(tarball))
  const digest = `sha512-${hash.digest('base64')}`
  if (digest !== integrity) throw new Error(`${spec} is not what lab/pins.ts says: ${digest}`)
  const unpack = ['tar', '-xzf', tarball, '--strip-components=1', '--no-same-owner', '-C', folder]
  await run([...unpack, ...members])
  await rm(tarball)
}

interface Packed {
  filename: string
}
