import { Problem } from '#api/problem.ts'
import type { Limits } from '../limits.ts'
import { unpackSlice } from '../staging.ts'
import { checkCharacters, collisionKey } from './source-path.ts'
import { tooMany } from './tar-reader.ts'

/** The longest link target that Linux allows. */
const targetBytes = 4095

type Kind = 'file' | 'copy' | 'folder' | 'link'
type TreeNode = { kind: Kind; path: string }

/**
 * The paths of a tree, and their kinds. Refuses two paths that could be the same on
 * some file system, and links that, fully resolved, could leave the tree.
 */
export class TreeShape {
  readonly #limits: Limits
  readonly #nodes = new Map<string, TreeNode>()
  readonly #targets = new Map<string, string>()
  /** Length of the longest link path, as a collision key: a longer path is no link. */
  #longestLink = 0
  #files = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Adds a path. Returns the folders that this makes necessary, outer before inner. */
  addPath(kind: Kind, path: string): string[] {
    const node = this.#nodes.get(collisionKey(path))
    // A folder may appear again, after its content or twice: that adds nothing.
    if (node?.kind === 'folder' && kind === 'folder' && node.path === path) return []
    if (node) throw conflict(node, kind, path)
    const folders = this.#folders(path)
    this.#add({ kind, path })
    if (kind === 'file') this.#files++
    return kind === 'folder' ? [...folders, path] : folders
  }

  /**
   * Adds the path of a symbolic link. `links` checks its target again when the whole tree is known.
   */
  addLink(path: string, target: string): string[] {
    checkCharacters(target)
    if (target === '' || /^[/\\]|^[A-Za-z]:[/\\]/.test(target))
      throw escape('Its target must be a relative path.')
    if (Buffer.byteLength(target) > targetBytes)
      throw new Problem(
        'archive-path-too-long',
        `The target of a link may have ${targetBytes} bytes.`,
        { facts: { targetBytes } },
      )

    this.#resolveTarget(path, target)
    if (this.#targets.size >= this.#limits.links) throw tooMany(this.#limits.links)

    const folders = this.addPath('link', path)
    this.#targets.set(path, target)
    this.#longestLink = Math.max(this.#longestLink, collisionKey(path).length)
    return folders
  }

  get hasFiles(): boolean {
    return this.#files > 0
  }

  isFile(path: string): boolean {
    const node = this.#nodes.get(collisionKey(path))
    return node?.path === path && (node.kind === 'file' || node.kind === 'copy')
  }

  /**
   * Returns every link, once the tree is complete. Refuses links that lead through another link, in
   * a circle, or out of the tree.
   */
  async links(): Promise<{ path: string; target: string }[]> {
    const resolved = new Map<string, string>()
    for (const [path, target] of this.#targets) {
      await unpackSlice.yield()
      resolved.set(collisionKey(path), collisionKey(this.#resolveTarget(path, target)))
    }

    for (const path of this.#targets.keys()) {
      let at: string | undefined = collisionKey(path)
      for (let hops = 0; at !== undefined; hops++, at = resolved.get(at))
        if (hops > this.#limits.depth)
          throw escape(`The link ${JSON.stringify(path)} leads in a circle.`)
    }

    return [...this.#targets].map(([path, target]) => ({ path, target }))
  }

  /** The path that a link leads to. Checks each step. */
  #resolveTarget(path: string, target: string): string {
    const at = path.split('/').slice(0, -1)
    const steps = target.split('/').filter((step) => step !== '' && step !== '.')
    if (steps.length > 2 * this.#limits.depth) throw escape('Its target has too many steps.')

    const keys = at.map(collisionKey)
    let letters = keys.reduce((sum, key) => sum + key.length + 1, -1)
    for (const [i, step] of steps.entries()) {
      if (step !== '..') {
        at.push(step)
        letters += keys[keys.push(collisionKey(step)) - 1]!.length + 1
      } else if (at.pop() === undefined) throw escape('Its target is outside the tree.')
      else letters -= keys.pop()!.length + 1
      const mayBeLink = i < steps.length - 1 && letters <= this.#longestLink
      if (mayBeLink && this.#nodes.get(keys.join('/'))?.kind === 'link')
        throw escape(`The link ${JSON.stringify(path)} leads through another link.`)
    }

    return at.join('/')
  }

  /** Adds the folders above a path if they are missing. Returns the new ones. */
  #folders(path: string): string[] {
    const slash = path.lastIndexOf('/')
    if (slash < 0) return []
    const folder = path.slice(0, slash)
    const node = this.#nodes.get(collisionKey(folder))
    if (node?.kind === 'folder' && node.path === folder) return []
    if (node) throw conflict(node, 'folder', folder)
    const folders = this.#folders(folder)
    this.#add({ kind: 'folder', path: folder })
    return [...folders, folder]
  }

  #add(node: TreeNode): void {
    // Folders without an entry of their own count too: the gateway has to create each one.
    if (this.#nodes.size >= this.#limits.entries) throw tooMany(this.#limits.entries)
    this.#nodes.set(collisionKey(node.path), node)
  }
}

function conflict(node: TreeNode, kind: Kind, path: string): Problem {
  const other = { facts: { other: node.path } }
  if (node.path === path && node.kind !== kind && (node.kind === 'link' || kind === 'link'))
    return escape('A link has the path of another entry’s folder or file.', other)
  if (node.kind === 'copy' && node.path === path)
    return new Problem('archive-hardlink-invalid', 'It would write over a hard link.', other)

  return new Problem(
    'archive-duplicate-path',
    node.path === path
      ? 'Its path occurs twice.'
      : 'Its path differs from another one only in case or Unicode form. Not every file system distinguishes them. Rename one.',
    other,
  )
}

const escape = (detail: string, more: { facts?: Record<string, unknown> } = {}): Problem =>
  new Problem('archive-link-escape', `${detail} Links must stay inside the tree.`, more)
