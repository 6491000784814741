import { copy, merge, scratch } from '../../llb/graph.ts'
import type { Tree } from '../../llb/graph.ts'
import { base, clean, join, resolve, resolveDestination } from '../../go/paths.ts'
import type { Layer } from '../plan-schema.ts'

/** The app's folder, in every step and in the image. */
export const appFolder = '/app'

/**
 * Builds one file system from several layers. The first layer is the base and is used whole. The
 * others are merged onto it if no paths can overlap, and each stays a layer of its own. Otherwise
 * they are copied onto it one after the other.
 */
export function assemble(layers: Layer[], treeOf: (layer: Layer) => Tree): Tree {
  const [ground, ...others] = layers
  if (!ground) return scratch
  const under = treeOf(ground)
  if (!canMerge(layers))
    return others.reduce((onto, layer) => copyLayer(onto, treeOf(layer), layer), under)
  const over = others.map((layer) => copyLayer(scratch, treeOf(layer), layer))
  return merge([under, ...over], `[railpack] merge ${layers.map(layerName).join(', ')}`)
}

/** Copies the included paths of a layer. A layer without `include` adds nothing. */
function copyLayer(onto: Tree, from: Tree, { include = [], exclude = [], local }: Layer): Tree {
  return include.reduce((onto: Tree, path) => {
    const [source, destination] = local
      ? [path, join(appFolder, base(path))]
      : [inImage(path), inImage(path)]
    const options = {
      src: resolve('/', source),
      dest: resolveDestination('/', destination),
      followSymlink: true,
      dirCopyContents: true,
      createDestPath: true,
      allowWildcard: true,
      allowEmptyWildcard: true,
      exclude_patterns: exclude,
    }
    return copy(onto, from, options, source === destination ? `copy ${source}` : undefined)
  }, onto)
}

function inImage(path: string): string {
  if (path === '.' || path === '/app/') return appFolder
  return path.startsWith('/') ? path : join(appFolder, path)
}

function layerName({ image, step, local, spread, include = [] }: Layer): string {
  if (step) return `$${step}`
  if (image) return image
  return `${local ? 'local' : spread ? 'spread' : 'input'} ${include.join(', ')}`
}

const isPlain = (layer: Layer, at: number): boolean =>
  !layer.local && (at === 0 || layer.include !== undefined) && !layer.include?.includes('/')

function canMerge(layers: Layer[]): boolean {
  return layers.every(isPlain) && !overlaps(layers)
}

/**
 * Whether two layers include the same path, or one includes a path inside the other's path that the
 * other does not exclude. It looks up each path and the folders above it. Comparing all pairs would
 * take quadratic time.
 */
function overlaps(layers: Layer[]): boolean {
  const owners = new Map<string, Layer>()
  for (const layer of layers)
    for (const path of (layer.include ?? []).map(absolute)) {
      if ((owners.get(path) ?? layer) !== layer) return true
      owners.set(path, layer)
    }

  const lengths = new Set([...owners.keys()].map(({ length }) => length))
  const excluded = new Map(layers.map((layer) => [layer, new Excluded(layer)]))
  for (const [path, layer] of owners)
    for (const folder of foldersAbove(path, lengths)) {
      const other = owners.get(folder)
      if (other && other !== layer && !excluded.get(other)!.has(path.slice(folder.length + 1)))
        return true
    }

  return false
}

/** The folders above a path that have one of these lengths, outermost first. */
function* foldersAbove(path: string, lengths: ReadonlySet<number>): Generator<string> {
  for (let end = path.indexOf('/', 1); end > 0; end = path.indexOf('/', end + 1))
    if (lengths.has(end)) yield path.slice(0, end)
}

const absolute = (path: string): string =>
  path.startsWith('/') ? clean(path) : join(appFolder, path)

/**
 * The exclusions of a layer. A pattern matches any name in a path, or a folder at its beginning.
 */
class Excluded {
  readonly #patterns: ReadonlySet<string>
  readonly #lengths: ReadonlySet<number>

  constructor({ exclude = [] }: Layer) {
    this.#patterns = new Set(exclude)
    this.#lengths = new Set(exclude.map(({ length }) => length))
  }

  has(path: string): boolean {
    if (this.#patterns.size === 0) return false
    if (this.#patterns.has(path) || path.split('/').some((name) => this.#patterns.has(name)))
      return true
    return [...foldersAbove(path, this.#lengths)].some((folder) => this.#patterns.has(folder))
  }
}
