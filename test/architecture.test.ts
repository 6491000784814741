import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative, sep } from 'node:path'
import { builtinModules } from 'node:module'
import { expect, test } from 'vitest'

/**
 * The rooms, top floor first. A room may import only from the floors below it, never from its own
 * or above.
 */
const floors = [
  ['main'],
  ['gateway'],
  ['housekeeping', 'readiness'],
  ['http'],
  ['pipeline'],
  ['commands'],
  ['build', 'deploy'],
  ['railpack'],
  ['isolation', 'sources'],
  ['buildkit', 'store', 'secrets', 'flytoml'],
  ['fly', 'registry', 'host'],
  ['deployments'],
  ['llb'],
  ['go'],
  ['config', 'log', 'crash-point', 'retry', 'time-slice', 'differences'],
  ['settings'],
]

/** The rooms that may use each outside package, or the part of Node that does the room's work. */
const keepers: Record<string, string[]> = {
  express: ['http'],
  ws: ['http'],
  multer: ['http'],
  '@grpc/grpc-js': ['buildkit'],
  'node:http2': ['buildkit'],
  'smol-toml': ['flytoml'],
  undici: ['fly', 'registry'],
  'node:sqlite': ['store'],
  'node:child_process': ['host'],
  pino: ['log'],
  zod: ['settings', 'railpack', 'deploy', 'fly', 'registry', 'flytoml', 'http', 'store'],
}

const root = join(import.meta.dirname, '..')
const sources = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file))
/** Every specifier that a file imports: a path from the root for our files, else unchanged. */
const imports = (file: string) =>
  [
    ...readFileSync(join(root, file), 'utf8').matchAll(
      /^(?:import|export)\s+(?:[\w*{}\s,$]+\s+from\s+)?['"]([^'"]+)['"]/gm,
    ),
  ].map(([, name]) => {
    if (name!.startsWith('#api/')) return name!.replace('#api/', 'api/')
    return name!.startsWith('.') ? normalize(join(dirname(file), name!)) : name!
  })
const room = (file: string) => relative('gateway/src', file).split(sep)[0]!.replace(/\.ts$/, '')
const floor = (name: string) => floors.findIndex((deps) => deps.includes(name))

test('every room has a floor, and imports only from the floors below', () => {
  const wrong: string[] = []
  for (const file of sources('gateway/src')) {
    if (floor(room(file)) < 0) wrong.push(`${file} is in no room`)
    for (const target of imports(file).filter((name) => name.startsWith('gateway/')))
      if (room(target) !== room(file) && floor(room(target)) <= floor(room(file)))
        wrong.push(`${file} imports ${target}`)
  }
  expect(wrong).toEqual([])
})

test('each outside package has its room', () => {
  const wrong: string[] = []
  for (const file of sources('gateway/src'))
    for (const name of imports(file).filter(
      (name) => !name.startsWith('gateway/') && !name.startsWith('api/'),
    )) {
      const kept = keepers[name]
      if (kept ? !kept.includes(room(file)) : !builtinModules.includes(name.replace('node:', '')))
        wrong.push(`${file} uses ${name}`)
    }
  expect(wrong).toEqual([])
})

test('every process of the gateway is started in one place, which ties it to the gateway', () => {
  const starts = /child_process|process\.binding|node:cluster|['"]cluster['"]/
  const files = sources('gateway/src').filter((file) =>
    starts.test(readFileSync(join(root, file), 'utf8')),
  )
  expect(files).toEqual(['gateway/src/host/spawn-child.ts'])
})

test('api imports only zod; the client imports only api; no product code imports the lab', () => {
  const wrong: string[] = []
  const ours = (name: string, folder: string) => name.startsWith(`${folder}/`)
  for (const file of sources('api'))
    for (const name of imports(file))
      if (!ours(name, 'api') && name !== 'zod' && name !== 'node:crypto')
        wrong.push(`${file} uses ${name}`)
  for (const folder of ['client', 'lab'])
    for (const file of sources(folder))
      for (const name of imports(file))
        if (
          ['gateway', 'client', 'lab', 'test', 'bench'].some(
            (other) => other !== folder && ours(name, other),
          )
        )
          wrong.push(`${file} uses ${name}`)
  for (const file of sources('gateway/src'))
    for (const name of imports(file))
      if (['lab', 'client', 'test', 'bench'].some((other) => ours(name, other)))
        wrong.push(`${file} uses ${name}`)
  expect(wrong).toEqual([])
})

test('a file of a source is opened in one place, which has a limit', () => {
  // The reader itself, the list of a tree's entries (our own file), and the code that streams a
  // tree to the daemon.
  const mayOpen = [
    'gateway/src/host/read-source-file.ts',
    'gateway/src/host/tree-manifest.ts',
    'gateway/src/buildkit/context/context-server.ts',
    'gateway/src/buildkit/context/context-pieces.ts',
  ]
  // Those that pass the root to another program: the planner in its sandbox, and the daemon.
  const mayNameRoot = new Set([...mayOpen, 'gateway/src/railpack/prepare.ts'])
  const files = sources('gateway/src').filter((file) => room(file) !== 'sources')
  const text = (file: string) => readFileSync(join(root, file), 'utf8')

  const knowsTrees = (file: string) =>
    imports(file).some(
      (name) => name.endsWith('deployments/source-tree.ts') || name.endsWith('read-source-file.ts'),
    )
  const usesFiles = (file: string) =>
    imports(file).some((name) => /^(?:node:)?fs(?:\/promises)?$/.test(name))
  expect(
    files.filter((file) => knowsTrees(file) && usesFiles(file) && !mayOpen.includes(file)),
  ).toEqual([])

  const namesRoot = (file: string) =>
    /\btree\.root\b|\bsource\.root\b|\{[^{}]*\broot\b[^{}]*\} = tree\b/.test(text(file))
  expect(files.filter((file) => namesRoot(file) && !mayNameRoot.has(file))).toEqual([])
})

test('the rules of deployments, of fly.toml and of Go do no I/O', () => {
  const files = ['deployments', 'flytoml', 'go'].flatMap((name) => sources(`gateway/src/${name}`))
  const used = files.flatMap((file) => imports(file).filter((name) => name.startsWith('node:')))
  expect([...new Set(used)]).toEqual(['node:crypto'])
})

test('only config reads the environment', () => {
  const readers = sources('gateway/src').filter((file) =>
    readFileSync(join(root, file), 'utf8').includes('process.env'),
  )
  expect(readers.filter((file) => !['config', 'main'].includes(room(file)))).toEqual([])
})
