/** Where set-up keeps its expensive results, and their paths. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import * as pins from './pins.ts'

export const cacheDir =
  process.env['TARMAC_CACHE'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tarmac')

/**
 * The certificates that this machine trusts. Where its network re-signs TLS, the images must trust
 * them too.
 */
export const caBundle = '/etc/ssl/certs/ca-certificates.crt'

// The name of a cache folder includes a hash of all its inputs, so it is never stale and never
// incomplete.
const toolsRecipe = recipe([], ['tools/go.mod', 'tools/go.sum', 'make/go-tools.ts'])
const toolsDir = join(cacheDir, `tools-${toolsRecipe}`)
const treeRecipe = recipe(
  [JSON.stringify(pins.debian), contentOf(caBundle)],
  ['make/debian-tree.ts', 'make/machine-settings.ts'],
)
export const debianTree = join(cacheDir, `debian-${treeRecipe}.tar`)
/** The registry's storage with every stand-in image in it. */
export const imagesDir = join(
  cacheDir,
  `images-${recipe(
    [
      treeRecipe,
      JSON.stringify([pins.npmTarballs, pins.bakedTools, pins.caddyHash, pins.goToolchainSum]),
      JSON.stringify(pins.images),
    ],
    [
      'images/Dockerfile',
      'images/mise-caddy/install',
      'images/mise-caddy/list-all',
      'images/mise-go/install',
      'images/mise-go/list-all',
      'images/mise-go/parse-legacy-file',
      'make/base-images.ts',
      'make/go-toolchain.ts',
    ],
  )}`,
)

const planner = readdirSync(join(import.meta.dirname, 'planner')).filter((name) =>
  name.endsWith('.ts'),
)
/** The registry's storage with every image that `gateway/Dockerfile` begins with. */
export const applianceImagesDir = join(
  cacheDir,
  `appliance-${recipe(
    [
      treeRecipe,
      toolsRecipe,
      JSON.stringify([pins.applianceTarballs, pins.applianceImages, pins.bakedTools]),
    ],
    [
      'images/appliance/Dockerfile',
      'make/appliance-images.ts',
      'make/base-images.ts',
      ...planner.map((name) => join('planner', name)),
    ],
  )}`,
)

/**
 * Programs built from `tools/go.mod`. The CNI plugins are beside buildkitd, which looks for them on
 * its PATH.
 */
export const tools = {
  dir: toolsDir,
  buildkitd: join(toolsDir, 'buildkitd'),
  buildctl: join(toolsDir, 'buildctl'),
  registry: join(toolsDir, 'registry'),
}

/** The programs of `pins.clientRuntimes`, by name. */
export const clientRuntimes = {
  dir: join(cacheDir, `runtimes-${recipe([JSON.stringify(pins.clientRuntimes)], [])}`),
  path(name: keyof typeof pins.clientRuntimes): string {
    const { spec, bin } = pins.clientRuntimes[name]
    return join(this.dir, name, 'node_modules', spec.slice(0, spec.lastIndexOf('@')), bin)
  },
}

/** Fails with advice when set-up has not run. */
export function assertReady(...paths: string[]): void {
  const missing = paths.filter((path) => !existsSync(path))
  if (missing.length > 0)
    throw new Error(`The lab is not set up (${missing.join(', ')} missing): run lab/setup.`)
}

function recipe(words: string[], files: string[]): string {
  const hash = createHash('sha256')
  for (const part of [
    ...words,
    ...files.map((file) => contentOf(join(import.meta.dirname, file))),
  ]) {
    hash.update(`${part.length}:${part}`)
  }
  return hash.digest('hex').slice(0, 12)
}

function contentOf(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}
