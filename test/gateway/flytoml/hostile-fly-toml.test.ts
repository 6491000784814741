import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { DeploymentOptions } from '../../../api/options.ts'
import type { ProblemBody } from '../../../api/problem/body.ts'
import { Problem } from '../../../api/problem.ts'
import type { TreeEntry } from '../../../api/tree.ts'
import { desiredApp, forOwner } from '../../../gateway/src/deploy/config/desired.ts'
import { filesLimits } from '../../../gateway/src/flytoml/machine-files.ts'
import { maxTomlParts, tomlParts } from '../../../gateway/src/flytoml/formats/toml-size.ts'
import { openSource, type ReadSource } from '../../../gateway/src/host/read-source-file.ts'

const options = (given: object = {}) => DeploymentOptions.parse(given)
const desired = (flyToml: string, readFile: ReadSource = () => null, given = {}) =>
  desiredApp({
    flyToml,
    app: 'web',
    options: options(given),
    defaults: { region: 'fra' },
    readFile,
  })

function refused(flyToml: string, readFile?: ReadSource, given = {}): ProblemBody {
  try {
    desired(flyToml, readFile, given)
  } catch (error) {
    if (error instanceof Problem) return error.body()
    throw error
  }
  return expect.unreachable('it was taken')
}
const machineConfig = (config: unknown, section = '') =>
  `${section}machine_config = '${typeof config === 'string' ? config : JSON.stringify(config)}'`

test.each([
  ['tarmac_owner'],
  ['tarmac_number'],
  ['tarmac_deployment'],
  ['tarmac_env'],
  ['fly_canary'],
  ['fly_bluegreen_deployment_tag'],
  ['fly_platform_version'],
  ['fly_process_group'],
  ['fly_builder_id'],
  ['fly_anything'],
  ['Tarmac_Owner'],
  ['FLY_CANARY'],
  [' tarmac_owner'],
  ['\ttarmac_owner '],
  ['\u00a0fly_canary'],
  ['fly-canary'],
])('a source that sets the metadata %j is refused, and the key is named', (key) => {
  const config = { metadata: { team: 'a', [key]: 'alice' } }
  const readFile = (path: string) =>
    path === 'machine.json' ? Buffer.from(JSON.stringify(config)) : null
  const saysKey = expect.stringContaining(JSON.stringify(key))
  const way = [
    machineConfig(config),
    machineConfig(config, '[experimental]\n'),
    machineConfig('machine.json'),
  ]
  for (const [index, toml] of [...way, machineConfig({ METADATA: config.metadata })].entries())
    expect([index, refused(toml, readFile)]).toEqual([
      index,
      expect.objectContaining({ code: 'fly-config-invalid', fault: 'source', detail: saysKey }),
    ])
})

test('a source may set its own metadata, including keys that only look reserved', () => {
  const metadata = { team: 'a', flyer_id: 'b', my_fly_key: 'c', tarmac: 'd', tarmacadam_x: 'e' }
  expect(desired(machineConfig({ metadata })).groups[0]!.config.metadata).toMatchObject(metadata)
})

test.each(['fly_app_release_command', 'fly_app_console', 'FLY_app_x', ' tarmac_x', 'fly_web'])(
  'a process group named %j is refused, because its machines would not count as the app’s',
  (name) => {
    expect(refused(`[processes]\n"${name}" = "node x"`)).toMatchObject({
      code: 'fly-config-invalid',
      fault: 'source',
    })
  },
)

test.each(['fly-worker', 'tarmac-x', 'flyer_x', 'my_fly_group'])(
  'a process group named %j is accepted',
  (name) => {
    expect(desired(`[processes]\n"${name}" = "node x"`).groups.map((group) => group.name)).toEqual([
      name,
    ])
  },
)

test.each(['A,B', 'A=B', 'A\\nB', 'A\\u0000'])(
  'a variable named "%s" is refused, because the gateway records names as a list with commas',
  (name) => {
    expect(refused(`[env]\n"${name}" = "x"`)).toMatchObject({
      code: 'fly-config-invalid',
      key: 'env',
    })
  },
)

test('a source names no machine to stand by for, and no volume of another owner', () => {
  const app = desired(machineConfig({ standbys: ['e7843d4f2d1a98'] }))
  expect(app.groups[0]!.config).not.toHaveProperty('standbys')
  expect(app.warnings.join()).toContain('machine_config.standbys is ignored')
  const volumes = (source: string, owner: string | null) =>
    Object.keys(
      forOwner(desired(`[[mounts]]\nsource = "${source}"\ndestination = "/d"`), options({ owner }))
        .volumes,
    )
  const [alices] = volumes('data', 'alice')
  expect(volumes(`${alices}_o00000000000`, null)).toEqual(['data'])
  expect(volumes(`${alices}_o00000000000`, 'bob')).toEqual(volumes('data', 'bob'))
})

test('three entries of one file of 60 MB are refused by the first entry’s name, and nothing of the file is read', async () => {
  const root = await mkdtemp(join(tmpdir(), 'tarmac-files-'))
  try {
    await writeFile(join(root, 'blob'), '')
    await truncate(join(root, 'blob'), 60e6)
    const files: TreeEntry[] = [
      { type: 'file', path: 'blob', mode: 0o644, sizeBytes: 60e6, sha256: '' },
    ]
    const tree = { root, entries: files, digest: '', files: 1, sizeBytes: 60e6 }
    const entry = (n: number) => `[[files]]\nguest_path = "/f${n}"\nlocal_path = "blob"\n`
    const before = process.memoryUsage().external
    const toml = [1, 2, 3].map(entry).join('')
    expect(refused(toml, openSource(tree))).toMatchObject({
      code: 'source-file-too-large',
      status: 422,
      fault: 'source',
      key: 'files[0].local_path',
      file: 'blob',
      sizeBytes: 60e6,
      limitBytes: filesLimits.eachBytes,
    })
    expect(process.memoryUsage().external - before).toBeLessThan(5e6)
  } finally {
    await rm(root, { recursive: true })
  }
})

test('a file that several entries name counts for each entry', () => {
  const readFile = () => Buffer.alloc(filesLimits.eachBytes - 1)
  const entries = (count: number) =>
    Array.from(
      { length: count },
      (_, n) => `[[files]]\nguest_path = "/f${n}"\nlocal_path = "blob"\n`,
    ).join('')
  expect(desired(entries(2), readFile).groups[0]!.config['files']).toHaveLength(2)
  expect(refused(entries(3), readFile)).toMatchObject({
    code: 'fly-config-invalid',
    key: 'files[2]',
  })

  const same = `[[files]]\nguest_path = "/f"\nlocal_path = "blob"\n`.repeat(3)
  expect(refused(same, readFile)).toMatchObject({ key: 'files[2]' })
  expect(refused(entries(filesLimits.entries + 1), () => Buffer.from('x'))).toMatchObject({
    key: 'files',
  })
})

const fill = (line: (n: number) => string, head = '') => {
  const lines: string[] = []
  for (let n = 0, size = 0; size < 2 ** 20 - 1000; n++)
    size += lines[lines.push(line(n)) - 1]!.length
  return head + lines.join('')
}
const groups = (count: number) =>
  `[processes]\n${Array.from({ length: count }, (_, n) => `p${n} = "x"\n`).join('')}`
const many: [string, string][] = [
  ['variables', fill((n) => `V${n} = "x"\n`, '[env]\n')],
  ['process groups', fill((n) => `p${n} = "x"\n`, '[processes]\n')],
  ['services', fill(() => '[[services]]\n')],
  ['checks', fill((n) => `[checks.c${n}]\n`)],
  ['mounts', fill(() => '[[mounts]]\n')],
  ['statics', fill(() => '[[statics]]\n')],
  ['files', fill(() => '[[files]]\n')],
  ['unknown keys', fill((n) => `v${n} = 1\n`)],
  ['items of a list', `[[vm]]\nkernel_args = [${'1,'.repeat(400_000)}]`],
  ['dots', `a${'.a'.repeat(400_000)} = 1`],
  ['nested lists', `a = ${'['.repeat(400_000)}`],
  ['nested tables in a machine config', machineConfig(`{"volumes":${'{"a":'.repeat(100_000)}`)],
  [
    'nested lists in a machine config',
    machineConfig(`{"volumes":[${'['.repeat(400_000)}${']'.repeat(400_000)}]}`),
  ],
  ['items in a machine config', machineConfig(`{"volumes":[${'0,'.repeat(400_000)}0]}`)],
  ['groups with one long variable each', `${groups(20)}[env]\nA = "${'x'.repeat(900_000)}"`],
  [
    'groups with many variables each',
    `${groups(100)}[env]\n${Array.from({ length: 1000 }, (_, n) => `V${n}="x"\n`).join('')}`,
  ],
]
test.each(many)('many %s are refused within 100 ms of CPU time', (_, toml) => {
  refused('[[services]]\ninternal_port = "x"') // warms the parser
  const from = process.threadCpuUsage()
  expect(refused(toml)).toMatchObject({ code: 'fly-config-invalid', fault: 'source' })
  const { user, system } = process.threadCpuUsage(from)
  expect((user + system) / 1000).toBeLessThan(100)
})

test('groups that each get large files, or a large environment from the caller, are refused', () => {
  const files = `${groups(4)}[[files]]\nguest_path = "/f"\nlocal_path = "blob"\n`.repeat(1)
  const readFile = () => Buffer.alloc(filesLimits.eachBytes)
  expect(
    desired(`${groups(2)}[[files]]\nguest_path = "/f"\nlocal_path = "blob"\n`, readFile).groups,
  ).toHaveLength(2)
  expect(
    refused(`${files}[[files]]\nguest_path = "/g"\nlocal_path = "blob"\n`, readFile),
  ).toMatchObject({
    key: 'processes',
  })

  const env = { A: 'x'.repeat(120_000) }
  expect(desired(groups(9), undefined, { env }).groups).toHaveLength(9)
  expect(refused(groups(90), undefined, { env })).toMatchObject({ key: 'processes' })
})

test('a fly.toml of 900 KiB with few settings is accepted', () => {
  const long = 'x'.repeat(900_000)
  expect(desired(`[env]\nA = "${long}"`).groups[0]!.config.env).toMatchObject({ A: long })
  expect(
    desired(`# ${'a = [1, 2] '.repeat(70_000)}\n[env]\nA = """\n${'a,b=c\n'.repeat(10_000)}"""`)
      .groups,
  ).toHaveLength(1)
})

test('warnings beyond a hundred are dropped, and the log says so', () => {
  const { warnings } = desired(Array.from({ length: 1000 }, (_, n) => `v${n}=1\n`).join(''))
  expect(warnings.length).toBeLessThan(110)
  expect(warnings.join('\n')).toContain('not shown')
})

test.each([
  ['', 0],
  ['a = 1\n[b]\n', 4],
  ['# a = [1, 2]\n', 1],
  ['a = "# [,=\\" ,"\nb = \'#,\\\'\n', 4],
  ['a = """\n[,]\n""" # ,\n', 2],
  ["a = '''\n''\n,'''\nb=1", 3],
  ['a = "open, [\nb = 1\n', 4],
  ['a = """ never, closed', 1],
])('the parts of %j are counted outside strings and comments', (toml, parts) => {
  expect(tomlParts(toml)).toBe(parts)
})

test('counting parts takes time in proportion to the text', () => {
  for (const text of ['"', "'", '"""', '#', '"\\', "'''\n", '=']) {
    const from = process.threadCpuUsage()
    tomlParts(text.repeat(2 ** 20 / text.length))
    expect([text, process.threadCpuUsage(from).user < 300_000]).toEqual([text, true])
  }
  expect(maxTomlParts).toBeGreaterThan(1000)
})
