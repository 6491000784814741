import { readdirSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { tokenizer } from 'acorn'
import { expect, test } from 'vitest'

// What keeps the house in order. There are no exceptions.

const root = join(import.meta.dirname, '..')
const folders = ['api', 'bench', 'client/src', 'docs', 'fly', 'gateway/src', 'lab', 'test']
const files = folders.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file)),
)
const textOf = (file: string) => readFileSync(join(root, file), 'utf8')
const product = files.filter((file) => /^(?:api|client|fly|gateway)\//.test(file))

/** Words of a private language; `docs/glossary.md` has the field's. */
const banned = new Set(
  [
    'tell told bring brought wish wishes laid walled walls fit unfit anew former insist hereby',
    'arrange audience breathe circumstances disown disowned heed intend lasting likeness',
    'mind minded offer retire tidy undone went',
  ].flatMap((words) => words.split(' ')),
)

test('identifiers use no banned words', () => {
  const found: string[] = []
  for (const file of files) {
    for (const name of namesIn(textOf(file))) {
      const words = name
        .replaceAll(/([a-z\d])([A-Z])/g, '$1 $2')
        .toLowerCase()
        .split(/[\s_$]+/)
      if (words.some((word) => banned.has(word))) found.push(`${file}: ${name}`)
    }
  }
  expect(found).toEqual([])
}, 60_000)

const maxLines = 250

test(`no file of the product has more than ${maxLines} lines`, () => {
  const long = product.filter((file) => textOf(file).split('\n').length > maxLines + 1)
  expect(long).toEqual([])
})

const maxFiles = 16

test(`no folder of the product has more than ${maxFiles} files`, () => {
  const counts = Map.groupBy(product, (file) => file.slice(0, file.lastIndexOf('/')))
  const full = [...counts].filter(([, own]) => own.length > maxFiles).map(([folder]) => folder)
  expect(full).toEqual([])
})

const maxFolderLines = 2000

test(`the files of a folder of the product have at most ${maxFolderLines} lines together`, () => {
  const folders = Map.groupBy(product, (file) => file.slice(0, file.lastIndexOf('/')))
  const sizes = [...folders].map(([folder, own]): [string, number] => [
    folder,
    own.reduce((lines, file) => lines + textOf(file).split('\n').length - 1, 0),
  ])
  expect(sizes.filter(([, lines]) => lines > maxFolderLines)).toEqual([])
})

test('no two files of test/services use the same port of this machine', () => {
  const files = readdirSync(join(root, 'test/services')).filter((file) => file.endsWith('.test.ts'))
  const users = new Map<string, Set<string>>()
  for (const file of files)
    for (const line of textOf(join('test/services', file)).split('\n'))
      for (const [port] of /port/i.test(line) ? line.matchAll(/\b\d{4,5}\b/g) : [])
        users.set(port, (users.get(port) ?? new Set()).add(file))
  const insideMachines = new Set(['8080'])
  const shared = [...users].filter(([port, by]) => by.size > 1 && !insideMachines.has(port))
  expect(shared.map(([port, by]) => `${port}: ${[...by].join(', ')}`)).toEqual([])
})

/** Every name in the code of a file, and those of its own types. */
function namesIn(text: string): string[] {
  const code = stripTypeScriptTypes(text.replace(/^#!.*/, ''))
  const tokens = [...tokenizer(code, { ecmaVersion: 'latest', sourceType: 'module' })]
  const values = tokens.filter(({ type }) => /^(?:name|privateId)$/.test(type.label))
  const types = text.matchAll(/^(?:export )?(?:type|interface) (\w+)/gm)
  return [
    ...values.map(({ start, end }) => code.slice(start, end)),
    ...[...types].map(([, name]) => name!),
  ]
}
