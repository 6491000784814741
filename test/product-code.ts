import { readdirSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { type AnyNode, parse, type Program } from 'acorn'

const root = join(import.meta.dirname, '..')
const folders = ['gateway/src', 'api', 'fly', 'client/src']

/** A source file of the product without its types. Line numbers match the file. */
export type ProductFile = { path: string; code: string; program: Program }

let files: ProductFile[] | undefined

/** All code that runs for users, parsed. */
export function productFiles(): ProductFile[] {
  return (files ??= folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readProductFile(join(folder, name))),
  ))
}

function readProductFile(path: string): ProductFile {
  const code = stripTypeScriptTypes(readFileSync(join(root, path), 'utf8').replace(/^#!.*/, ''))
  return {
    path,
    code,
    program: parse(code, { ecmaVersion: 'latest', sourceType: 'module', locations: true }),
  }
}

/** Yields a node and all its descendants, outer before inner. */
export function* nodesIn(node: unknown): Generator<AnyNode> {
  if (typeof node !== 'object' || node === null) return
  if (Array.isArray(node)) return yield* node.flatMap((one) => [...nodesIn(one)])
  if ('type' in node && typeof node.type === 'string') yield node as AnyNode
  for (const [key, inside] of Object.entries(node))
    if (key !== 'loc' && key !== 'regex') yield* nodesIn(inside)
}
