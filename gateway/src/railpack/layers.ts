import { copy, merge, scratch } from '../llb/graph.ts'
import type { Tree } from '../llb/graph.ts'
import { base, clean, join, resolve, resolveDestination } from './go-paths.ts'
import type { Layer } from './plan-schema.ts'

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
  if (!canMerge(layers)) return others.reduce((onto, layer) => copyLayer(onto, treeOf(layer), layer), under)
  const over = others.map((layer) => copyLayer(scratch, treeOf(layer), layer))
  return merge([under, ...over], `[railpack] merge ${layers.map(layerName).join(', ')}`)
}

/** Copies what a layer includes; a layer that includes nothing brings nothing. */
function copyLayer(onto: Tree, from: Tree, { include = [], exclude = [], local }: Layer): Tree {
  return include.reduce((onto: Tree, path) => {
    const [source, destination] = local ? [path, join(appFolder, base(path))] : [inImage(path), inImage(path)]
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

function canMerge(layers: Layer[]): boolean {
  return layers.every(
    (layer, at) =>
      !layer.local &&
      (at === 0 || layer.include !== undefined) &&
      !layer.include?.includes('/') &&
      !layers.slice(at + 1).some((other) => overlap(layer, other)),
  )
}

/** Whether two layers bring the same path, or one a path inside the other's which that other does not exclude. */
function overlap(a: Layer, b: Layer): boolean {
  return (a.include ?? []).some((one) =>
    (b.include ?? []).some((other) => {
      const [p, q] = [absolute(one), absolute(other)]
      if (p === q) return true
      if (isInside(p, q)) return !excludes(b, p.slice(q.length + 1))
      return isInside(q, p) && !excludes(a, q.slice(p.length + 1))
    }),
  )
}

const absolute = (path: string): string => (path.startsWith('/') ? clean(path) : join(appFolder, path))
const isInside = (inner: string, outer: string): boolean => inner.startsWith(`${outer}/`)

function excludes({ exclude = [] }: Layer, path: string): boolean {
  const names = path.split('/')
  return exclude.some((pattern) => names.includes(pattern) || path === pattern || path.startsWith(`${pattern}/`))
}
