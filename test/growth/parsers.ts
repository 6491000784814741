import { type AnyNode } from 'acorn'
import { nodesIn, productFiles } from '../product-code.ts'

/** Methods that read a text, or the bytes of one. */
const methods = new Set([
  'charAt',
  'charCodeAt',
  'codePointAt',
  'indexOf',
  'lastIndexOf',
  'matchAll',
  'normalize',
  'safeParse',
  'split',
])

/**
 * A parser is an export of the product that reads a text by a regular expression, by `JSON.parse`,
 * or by one of the methods above. It does so itself, or through something in its own file. Each is
 * named `FILE › NAME`.
 */
export function parsers(): string[] {
  return productFiles().flatMap(({ path, program }) => {
    const { declared, exported } = declarations(program.body)
    const parts = new Map(
      [...declared].map(([name, node]) => {
        const inside = [...nodesIn(node)]
        const uses = inside.flatMap((part) =>
          part.type === 'Identifier' && declared.has(part.name) ? [part.name] : [],
        )
        return [name, { uses, looks: inside.some(looksIntoText) }]
      }),
    )
    const isParser = (name: string): boolean => {
      const reached = new Set([name])
      for (const each of reached) for (const used of parts.get(each)?.uses ?? []) reached.add(used)
      return [...reached].some((each) => parts.get(each)?.looks)
    }
    return [...exported].filter(isParser).map((name) => `${path} › ${name}`)
  })
}

/** All exports of the product, as `FILE › NAME`. */
export const exportedNames = (): string[] =>
  productFiles().flatMap(({ path, program }) =>
    [...declarations(program.body).exported].map((name) => `${path} › ${name}`),
  )

/** The top-level declarations of a module, by name, and its exports. */
function declarations(body: readonly AnyNode[]): {
  declared: Map<string, AnyNode>
  exported: Set<string>
} {
  const declared = new Map<string, AnyNode>()
  const exported = new Set<string>()
  for (const statement of body) {
    const isExport = statement.type === 'ExportNamedDeclaration'
    const declaration = isExport ? statement.declaration : statement
    const found = declaration ? namesIn(declaration) : []
    for (const [name, node] of found) {
      declared.set(name, node)
      if (isExport) exported.add(name)
    }
  }
  return { declared, exported }
}

function namesIn(node: AnyNode): [string, AnyNode][] {
  if (node.type === 'FunctionDeclaration' || node.type === 'ClassDeclaration')
    return node.id ? [[node.id.name, node]] : []
  if (node.type !== 'VariableDeclaration') return []
  return node.declarations.flatMap((each): [string, AnyNode][] =>
    each.id.type === 'Identifier' ? [[each.id.name, each]] : [],
  )
}

function looksIntoText(node: AnyNode): boolean {
  if (node.type === 'Literal') return node.regex !== undefined && node.regex !== null
  if (node.type === 'NewExpression')
    return node.callee.type === 'Identifier' && node.callee.name === 'RegExp'
  if (node.type !== 'CallExpression' || node.callee.type !== 'MemberExpression') return false
  const { object, property } = node.callee
  if (property.type !== 'Identifier') return false
  return (
    methods.has(property.name) ||
    (object.type === 'Identifier' && object.name === 'JSON' && property.name === 'parse')
  )
}
