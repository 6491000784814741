import { copy, merge, scratch } from '../../llb/graph.ts'
import type { Tree } from '../../llb/graph.ts'
import { base, clean, join, resolve, resolveDestination } from '../../go/paths.ts'
import type { Layer } from '../plan-schema.ts'

/** Where the app lives, in every step and in the image. */
export const appFolder = '/app'

/**
 * One file system from several layers: the first is the ground, which stands whole. The others are merged onto it where
 * nothing can overlap (each stays a layer of its own), else copied onto it one after the other.
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

/** Copies what a layer includes; a layer that includes nothing brings nothing. */
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
 * Whether two layers bring the same path, or one a path inside the other's which that other does not exclude. Looks each
 * path and the folders above it up among all others: to compare all pairs would take the square of their number.
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

/** The folders above a path whose names are so long, outer before inner. */
function* foldersAbove(path: string, lengths: ReadonlySet<number>): Generator<string> {
  for (let end = path.indexOf('/', 1); end > 0; end = path.indexOf('/', end + 1))
    if (lengths.has(end)) yield path.slice(0, end)
}

const absolute = (path: string): string =>
  path.startsWith('/') ? clean(path) : join(appFolder, path)

/** What a layer leaves out: by any name of a path, or by a folder that the path begins with. */
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
