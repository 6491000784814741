import { parseIgnoreFile } from '#api/dockerignore/parse-ignore-file.ts'
import { Problem } from '#api/problem.ts'
import type { SourceTree } from '../deployments/source-tree.ts'
import { openSource } from '../host/read-source-file.ts'
import { sourceText } from '../host/source-text.ts'

/** A Dockerfile in a source, and the facts about it that a build needs first. */
export type Dockerfile = {
  path: string
  content: Uint8Array
  /** The patterns of its ignore file. */
  ignore: string[]
  /**
   * The frontend image that its syntax line names. Null: the usual one, which is built into the
   * daemon.
   */
  frontend: string | null
}

/** `ignorefile`: the path of the ignore file. Null: found by its name, as BuildKit does. */
export async function readDockerfile(
  tree: SourceTree,
  path: string,
  ignorefile: string | null = null,
): Promise<Dockerfile> {
  const read = openSource(tree)
  const textOf = (name: string) => {
    const bytes = read(name)
    return bytes && sourceText(bytes, name, 'build-failed')
  }
  const content = read(path)
  if (content === null)
    throw new Problem('no-builder-found', `The source holds no file ${path} to build from.`)
  const syntax = syntaxOf(sourceText(content, path, 'build-failed'))
  const ignoreText =
    ignorefile === null
      ? (textOf(`${path}.dockerignore`) ?? textOf('.dockerignore'))
      : textOf(ignorefile)
  const ignore = parseIgnoreFile(ignoreText ?? '')
  const frontend = syntax && !usualSyntax.test(syntax) ? syntax : null
  return { path, content, ignore, frontend }
}

const usualSyntax = /^(?:docker\.io\/)?docker\/dockerfile(?::1[\d.]*|:latest)?$/

/**
 * The value of the syntax directive, as BuildKit finds it: directives end at the first line that is
 * not one.
 */
function syntaxOf(text: string): string | null {
  for (const line of text
    .replace(/^\ufeff/, '')
    .replace(/^#![^\n]*\n/, '')
    .split('\n')) {
    const [begin, name] = /^#\s*(syntax|escape|check)\s*=/i.exec(line) ?? []
    const value = line.slice(begin?.length).trim()
    if (!name || value === '') return null
    if (name.toLowerCase() === 'syntax') return value.split(' ', 1)[0]!
  }
  return null
}
