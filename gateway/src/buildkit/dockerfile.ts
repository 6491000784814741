import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Problem } from '#api/problem.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import { cleanPath } from './context-filter.ts'

/** A Dockerfile of a source, and what must be known of it beforehand. */
export type Dockerfile = {
  path: string
  /** Patterns of the ignore file that belongs to it, made so that the Dockerfile itself stays. */
  ignore: string[]
  /** It asks for the usual syntax by the name of an image: the daemon has that built in, and need not fetch it. */
  usualSyntax: boolean
}

export async function readDockerfile(tree: SourceTree, path: string): Promise<Dockerfile> {
  const files = new Set(tree.entries.filter((entry) => entry.type === 'file').map((entry) => entry.path))
  if (!files.has(path)) throw new Problem('plan-none', `The source holds no file ${path} to build from.`)
  const comments = /^(?:#.*\n)*/.exec(await readFile(join(tree.root, path), 'utf8'))![0]
  const ignoreFile = [`${path}.dockerignore`, '.dockerignore'].find((name) => files.has(name))
  const ignore = ignoreFile ? parseIgnoreFile(await readFile(join(tree.root, ignoreFile), 'utf8')) : []
  if (ignore.length > 0) ignore.push(`!${path.replaceAll(/[\\*?[\]]/g, '\\$&')}`)
  const usualSyntax = /^#\s*syntax\s*=\s*(?:docker\.io\/)?docker\/dockerfile(?::1[\d.]*|:latest)?\s*$/im.test(comments)
  return { path, ignore, usualSyntax }
}

export function parseIgnoreFile(text: string): string[] {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/)
  return lines.flatMap((line) => {
    if (line.startsWith('#') || line.trim() === '') return []
    const [, exception, pattern] = /^(!?)\s*(.*)$/.exec(line.trim())!
    return [exception + (pattern ? cleanPath(pattern).replace(/^\/(?=.)/, '') : '')]
  })
}
