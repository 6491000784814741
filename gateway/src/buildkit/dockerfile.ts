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
  /** The image that a syntax line asks for to read it; null for the usual one, which the daemon has built in. */
  frontend: string | null
}

export async function readDockerfile(tree: SourceTree, path: string): Promise<Dockerfile> {
  const files = new Set(tree.entries.filter((entry) => entry.type === 'file').map((entry) => entry.path))
  if (!files.has(path)) throw new Problem('plan-none', `The source holds no file ${path} to build from.`)
  const syntax = syntaxOf(await readFile(join(tree.root, path), 'utf8'))
  const ignoreFile = [`${path}.dockerignore`, '.dockerignore'].find((name) => files.has(name))
  const ignore = ignoreFile ? parseIgnoreFile(await readFile(join(tree.root, ignoreFile), 'utf8')) : []
  if (ignore.length > 0) ignore.push(`!${path.replaceAll(/[\\*?[\]]/g, '\\$&')}`)
  return { path, ignore, frontend: syntax && !usualSyntax.test(syntax) ? syntax : null }
}

const usualSyntax = /^(?:docker\.io\/)?docker\/dockerfile(?::1[\d.]*|:latest)?$/

/** What the syntax directive says, where BuildKit would see one: directives end at the first line that is none. */
function syntaxOf(text: string): string | null {
  for (const line of text
    .replace(/^\ufeff/, '')
    .replace(/^#![^\n]*\n/, '')
    .split('\n')) {
    const [, name, value = ''] = /^#\s*(syntax|escape|check)\s*=\s*(.+?)\s*$/i.exec(line) ?? []
    if (!name) return null
    if (name.toLowerCase() === 'syntax') return value.split(' ')[0]!
  }
  return null
}

export function parseIgnoreFile(text: string): string[] {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/)
  return lines.flatMap((line) => {
    if (line.startsWith('#') || line.trim() === '') return []
    const [, exception, pattern] = /^(!?)\s*(.*)$/.exec(line.trim())!
    return [exception + (pattern ? cleanPath(pattern).replace(/^\/(?=.)/, '') : '')]
  })
}
