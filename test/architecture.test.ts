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
  ['privileged'],
  ['gateway'],
  ['status', 'builder', 'outside'],
  ['housekeeping', 'kept-images', 'readiness', 'sizes', 'volume', 'volume-growth'],
  ['http'],
  ['previews', 'pipeline'],
  ['doctor'],
  ['commands'],
  ['callers', 'drift'],
  ['build', 'deploy'],
  ['railpack', 'sbom'],
  ['isolation', 'sources', 'registries'],
  ['buildkit', 'mirror', 'store', 'secrets', 'flytoml', 'versions'],
  ['registry', 'host'],
  ['deployments'],
  ['llb'],
  ['go'],
  ['awake'],
  ['config', 'log', 'time-slice', 'differences'],
  ['settings'],
]

/** The rooms that may use each outside package, or the part of Node that does the room's work. */
const keepers: Record<string, string[]> = {
  express: ['http'],
  ws: ['http'],
  multer: ['http'],
  '@grpc/grpc-js': ['buildkit'],
  'smol-toml': ['buildkit', 'flytoml'],
  yaml: ['flytoml'],
  undici: ['registry'],
  jose: ['callers'],
  'node:sqlite': ['store'],
  'node:child_process': ['host'],
  pino: ['log'],
  '@cyclonedx/cyclonedx-library/Enums': ['sbom'],
  '@cyclonedx/cyclonedx-library/Models': ['sbom'],
  '@cyclonedx/cyclonedx-library/Serialize': ['sbom'],
  '@cyclonedx/cyclonedx-library/SPDX': ['sbom'],
  '@cyclonedx/cyclonedx-library/Spec': ['sbom'],
  zod: ['settings', 'railpack', 'registry', 'deploy', 'buildkit', 'store', 'versions', 'host'],
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
    if (/^#(?:api|fly)\//.test(name!)) return name!.slice(1)
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
    for (const name of imports(file).filter((name) => !/^(?:gateway|api|fly)\//.test(name))) {
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
  expect(files).toEqual(['gateway/src/host/child/spawn-child.ts'])
})

test('api imports only few packages; fly only api; the client only these; no product code imports the lab', () => {
  const wrong: string[] = []
  const ours = (name: string, folder: string) => name.startsWith(`${folder}/`)
  const shared = {
    api: [
      'zod',
      'tar/header',
      'tar/pax',
      'node:crypto',
      'node:fs',
      'node:stream',
      'node:stream/promises',
      'node:timers/promises',
    ],
    fly: ['zod', 'undici'],
  }
  for (const [folder, packages] of Object.entries(shared))
    for (const file of sources(folder))
      for (const name of imports(file))
        if (!ours(name, folder) && !ours(name, 'api') && !packages.includes(name))
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
    // The planner's view of a tree: hard links to its files, made and removed.
    'gateway/src/buildkit/context/make-view.ts',
    'gateway/src/buildkit/context/tree-view.ts',
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

test('only config reads the environment', () => {
  const readers = sources('gateway/src').filter((file) =>
    readFileSync(join(root, file), 'utf8').includes('process.env'),
  )
  expect(readers.filter((file) => !['config', 'main'].includes(room(file)))).toEqual([])
})

test('every outside package is used where it may be, and every dependency is used', () => {
  const users = Map.groupBy(
    sources('gateway/src').flatMap((file) =>
      imports(file).map((name) => ({ name, user: room(file) })),
    ),
    ({ name }) => name,
  )
  const idle = Object.entries(keepers).flatMap(([name, rooms]) =>
    rooms
      .filter((room) => !users.get(name)?.some(({ user }) => user === room))
      .map((room) => `${room} does not use ${name}`),
  )
  expect(idle).toEqual([])

  const used = new Set(
    ['gateway/src', 'api', 'fly', 'client/src']
      .flatMap(sources)
      .flatMap(imports)
      .map((name) => name.split('/', name.startsWith('@') ? 2 : 1).join('/')),
  )
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  expect(Object.keys(dependencies).filter((name) => !used.has(name))).toEqual([])
})

const ground = floors.slice(-3).flat()

/** For each room here: the only other rooms that it may import. */
const narrow: Record<string, string[]> = {
  http: ['callers', 'commands', 'deployments', 'awake', 'log', 'time-slice'],
  store: ['deployments', 'host', ...ground],
}

test('http and store import only few rooms', () => {
  const wrong = sources('gateway/src').flatMap((file) =>
    imports(file)
      .filter((name) => name.startsWith('gateway/') && room(name) !== room(file))
      .filter((name) => narrow[room(file)]?.includes(room(name)) === false)
      .map((name) => `${file} imports ${name}`),
  )
  expect(wrong).toEqual(['gateway/src/http/listen.ts imports gateway/src/host/open-files.ts'])
})

test('flytoml, go and deployments do no input or output', () => {
  const doors =
    /^(?:undici|ws|express|multer|@grpc\/.*|node:(?:fs|net|tls|dgram|dns|https?|http2|sqlite|child_process|worker_threads)(?:\/.*)?)$/
  const wrong = sources('gateway/src')
    .filter((file) => ['flytoml', 'go', 'deployments'].includes(room(file)))
    .flatMap((file) =>
      imports(file)
        .filter((name) => doors.test(name))
        .map((name) => `${file} uses ${name}`),
    )
  expect(wrong).toEqual([])
})

/** Rooms that other rooms may use in full. */
const open = new Set(['commands', 'deployments', 'host', 'fly', 'llb', 'go', ...ground])
const maxNames = 5
test(`a room uses at most ${maxNames} names of another room`, () => {
  const uses = sources('gateway/src').flatMap((file) =>
    namedImports(file)
      .filter(({ from }) => from.startsWith('gateway/') && room(from) !== room(file))
      .filter(({ from }) => !open.has(room(from)))
      .map(({ name, from }) => ({ pair: `${room(file)} uses ${room(from)}`, name })),
  )
  const counts = [...Map.groupBy(uses, ({ pair }) => pair)].map(([pair, own]): [string, number] => [
    pair,
    new Set(own.map(({ name }) => name)).size,
  ])
  const broad = counts.filter(([, count]) => count > maxNames)
  expect(broad).toEqual([])
})

/** The names that a file imports from our other files, types included. */
function namedImports(file: string): { name: string; from: string }[] {
  const statements = readFileSync(join(root, file), 'utf8').matchAll(
    /^(?:import|export)\s+(?:type\s+)?\{([\w\s,$]+)\}\s+from\s+'(\.[^']+)'/gm,
  )
  return [...statements].flatMap(([, names, from]) =>
    names!
      .split(',')
      .map(
        (name) =>
          name
            .trim()
            .replace(/^type /, '')
            .split(' as ')[0]!,
      )
      .filter((name) => name !== '')
      .map((name) => ({ name, from: normalize(join(dirname(file), from!)) })),
  )
}
