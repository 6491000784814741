import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { railpackDifference } from '../../../../bench/conformance-railpack.ts'
import type { RailpackCase } from '../../../../bench/conformance-railpack.ts'
import { Definition } from '../../../../gateway/src/llb/ops.ts'
import { compilePlan } from '../../../../gateway/src/railpack/compile/compile.ts'
import type { CompileOptions } from '../../../../gateway/src/railpack/compile/compile.ts'
import { readPlan } from '../../../../gateway/src/railpack/plan-schema.ts'
import { sourceTree } from '../../../../gateway/src/buildkit/context/source-node.ts'

type Plan = { steps?: object[]; deploy?: object; caches?: object; secrets?: string[] }

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const source = sourceTree(
  { url: 'http://127.0.0.1:5400/secret/source.tar' },
  { checksum: `sha256:${'a'.repeat(64)}` },
)
const ground = { image: 'base' }
/** A step `name` on the base image. With `only`, a whole plan of that step. */
const step = (name: string, more: object = {}) => ({ name, inputs: [ground], ...more })
const only = (more: object): Plan => ({ steps: [step('a', more)], deploy: { base: { step: 'a' } } })
const run = (cmd = 'run') => ({ cmd })
/** The attributes of every copy. */
const kept = { mode: -1, timestamp: -1 }
const lenient = {
  followSymlink: true,
  createDestPath: true,
  allowWildcard: true,
  allowEmptyWildcard: true,
  ...kept,
}
const withSecrets = (secrets: string[]) => ({
  ...only({ secrets, commands: [run()] }),
  secrets: ['S'],
})
const deployOf = (...inputs: object[]) => ({ deploy: { base: ground, inputs } })
const from = (include?: string[], more: object = {}) => ({
  image: 'from',
  ...(include && { include }),
  ...more,
})

function compile({ deploy = { base: ground }, ...plan }: Plan, more: Partial<CompileOptions> = {}) {
  const options = {
    cacheKey: 'app',
    secretsHash: 'h',
    platform: 'linux/amd64',
    source,
    builtAt: new Date(7900),
  }
  return compilePlan(readPlan(JSON.stringify({ ...plan, deploy })), { ...options, ...more })
}
const execs = (plan: Plan, more = {}) =>
  compile(plan, more).nodes.flatMap(({ op }) => op.exec ?? [])
const actions = (plan: Plan) => compile(plan).nodes.flatMap(({ op }) => op.file?.actions ?? [])
const copies = (plan: Plan) =>
  actions(plan).flatMap(({ copy }) => (copy ? [`${copy.src} → ${copy.dest}`] : []))
const names = (plan: Plan) => compile(plan).nodes.flatMap(({ name }) => name ?? [])
const isMerged = (...inputs: object[]) =>
  compile(deployOf(...inputs)).nodes.at(-1)!.op.merge !== undefined
/** The environment in a step that takes from two of four steps, where d builds on b, and b on a. */
const envOfLast = (first: string, second: string) => {
  const a = step('a', { variables: { V: 'a' }, commands: [{ path: '/s' }, { path: '/a' }] })
  const b = step('b', {
    inputs: [{ step: 'a' }],
    variables: { V: 'b' },
    commands: [{ path: '/b' }],
  })
  const c = step('c', { variables: { V: 'c' }, commands: [{ path: '/a' }, { path: '/c' }] })
  const d = step('d', { inputs: [{ step: 'b' }] })
  const inputs = [{ step: first }, { step: second, include: ['/x'] }]
  const last = { name: 'last', inputs, commands: [run()] }
  return execs({ steps: [last, d, c, b, a], deploy: { base: { step: 'last' } } })[0]!.meta!.env
}
const imageEnv = (plan: Plan) => compile(plan).image.config.Env

describe('commands', () => {
  test('a command runs in /app with its words, every secret of the plan, and its own name', () => {
    const plan = {
      ...only({ commands: [{ cmd: 'npm "run x"', customName: 'n' }] }),
      secrets: ['Z', 'S', 'Z'],
    }
    const [command] = execs(plan)
    const meta = { args: ['npm', 'run x'], env: [], cwd: '/app', removeMountStubsRecursive: true }
    expect(command).toMatchObject({ meta, mounts: [{ dest: '/' }] })
    expect(command!.secretenv).toEqual(['Z', 'S', 'Z'].map((name) => ({ ID: name, name })))
    expect(names(plan)).toEqual(['n'])
  })

  test('a path precedes the earlier ones, once, for the commands after it', () => {
    const commands = [run('1'), { path: '/a' }, run('2'), { path: '/b' }, { path: '/a' }, run('3')]
    expect(execs(only({ commands })).map(({ meta }) => meta!.env)).toEqual([
      [],
      [`PATH=/a:${systemPath}`],
      [`PATH=/b:/a:${systemPath}`],
    ])
  })

  test('a copy goes from / to /app, keeps the trailing part of its destination, and has a custom name when both are equal', () => {
    const commands = [
      { src: '.', dest: '.' },
      { src: 'a/', dest: 'b/' },
      { src: '/x', dest: '/.', image: 'tool:1' },
      { src: '..' },
    ]
    const plan = only({ commands })
    expect(copies(plan).slice(1)).toEqual(['/ → /app', '/a → /app/b/', '/x → /.', '/ → /app'])
    expect(actions(plan)[1]!.copy).toEqual({ src: '/', dest: '/app', ...lenient })
    expect(names(plan)).toEqual(['[internal] receive the source', 'loading .', 'copy .'])
    expect(compile(plan).nodes.map(({ op }) => op.source?.identifier)).toContain(
      'docker-image://docker.io/library/tool:1',
    )
  })

  test('a file follows its folder, with the permission bits of its mode', () => {
    const commands = [
      { path: 'rel/d/', name: 't' },
      { path: '/a/../b', name: 't', mode: 0, customName: 'n' },
      { path: 'f', name: 't', mode: 0o104755, customName: 'm' },
      { path: '/app/g', name: 'empty', mode: 0o1000 },
    ]
    const plan = only({ assets: { t: 'é', empty: '' }, commands })
    const made = actions(plan).map(({ mkdir, mkfile }) => [
      mkdir?.path ?? '',
      mkfile?.path,
      mkfile?.mode,
    ])
    expect(made).toEqual([
      ['/app/rel/d', undefined, undefined],
      ['', '/app/rel/d', 0o644],
      ['', '/b', 0o644],
      ['/app', undefined, undefined],
      ['', '/app/f', 0o755],
      ['/app', undefined, undefined],
      ['', '/app/g', 0],
    ])
    expect(names(plan)).toEqual(['n', 'm'])
    expect(actions(plan)[0]!.mkdir).toEqual({
      path: '/app/rel/d',
      mode: 0o755,
      makeParents: true,
      timestamp: -1,
    })
    expect(Buffer.from(actions(plan)[1]!.mkfile!.data!).toString()).toBe('é')
  })
})

describe('environment', () => {
  test('variables are sorted by bytes; PATH comes last, or in order where it is only a variable', () => {
    const variables = { b: '1', PATH: '/v', '\u{1F600}': '1', '\uffee': '1', B: '1' }
    const commands = [run('1'), { path: '/p' }, run('2')]
    expect(execs(only({ variables, commands })).map(({ meta }) => meta!.env)).toEqual([
      ['B=1', 'PATH=/v', 'b=1', '\uffee=1', '\u{1F600}=1'],
      ['B=1', 'b=1', '\uffee=1', '\u{1F600}=1', `PATH=/p:${systemPath}`],
    ])
  })

  test('the later parent wins, but a parent behind another one does not count', () => {
    expect(envOfLast('b', 'a')).toEqual(['V=b', `PATH=/b:/a:/s:${systemPath}`])
    expect(envOfLast('d', 'a')).toEqual(envOfLast('b', 'a'))
    expect(envOfLast('b', 'c')).toEqual(['V=c', `PATH=/b:/a:/s:/c:${systemPath}`])
    expect(envOfLast('c', 'b')).toEqual(['V=b', `PATH=/c:/a:/b:/s:${systemPath}`])
  })

  test('the image has the environment of the deploy inputs, not of its base, and deploy variables win', () => {
    const steps = [
      step('base', { variables: { BASE: '1' } }),
      step('a', {
        variables: { V: 'a', W: 'a', PATH: 'x' },
        commands: [{ path: '/a' }, { path: '/b' }],
      }),
      step('b', { inputs: [{ step: 'a' }], variables: { V: 'b' } }),
    ]
    const inputs = [
      { step: 'b', include: ['/b'] },
      { step: 'a', include: ['/a'] },
    ]
    const deploy = {
      base: { step: 'base' },
      inputs,
      variables: { W: 'd', PATH: 'y' },
      paths: ['/z', '/a', '/Z'],
    }
    expect(imageEnv({ steps, deploy })).toEqual([
      `PATH=/Z:/a:/a:/b:${systemPath}:/z`,
      'RAILPACK_BUILT_AT=7',
      'V=a',
      'W=d',
    ])
  })
})

describe('secrets', () => {
  test('a step that lists all secrets mounts their hash', () => {
    const [command] = execs(withSecrets(['A', '*']))
    expect(command!.mounts).toMatchObject([
      { dest: '/' },
      { dest: '/secrets-hash', input: 1, output: 1 },
    ])
  })

  test('a step that lists some secrets mounts a hash of only those, made beside it', () => {
    const plan = withSecrets(['b', 'A', 'b'])
    const [helper, command] = execs(plan)
    expect(helper).toMatchObject({
      meta: {
        args: ['sh', '-c', 'echo "$A $b $b" | sha256sum > /used-secrets-hash'],
        cwd: '/',
        env: [],
      },
      secretenv: [{ ID: 'S' }],
    })
    expect(command!.mounts).toMatchObject([
      { dest: '/' },
      { dest: '/used-secrets-hash', input: 1, output: 1 },
    ])
    expect(compile(plan).nodes[1]!.op.source!.identifier).toBe(
      'docker-image://docker.io/library/alpine:latest',
    )

    const copied = (path: string) => ({ src: path, dest: path, ...kept })
    const data = Buffer.from('h')
    expect(actions(plan)).toEqual([
      {
        input: -1,
        secondaryInput: -1,
        output: 0,
        mkfile: { path: '/secrets-hash', mode: 0o644, data, timestamp: -1 },
      },
      { input: 0, secondaryInput: 1, output: 0, copy: copied('/secrets-hash') },
      { input: -1, secondaryInput: 0, output: 0, copy: copied('/used-secrets-hash') },
    ])
    expect(names(withSecrets(['A']))).toEqual([
      '[railpack] loading secrets',
      '[railpack] secrets hash',
      '[railpack] copy secrets hash',
      '[railpack] hash used secrets',
      '[railpack] copy used secrets hash',
    ])
  })

  test('without a hash or a list nothing is mounted', () => {
    expect(execs(withSecrets(['*']), { secretsHash: '' })[0]!.mounts).toHaveLength(1)
    expect(execs(withSecrets([]))[0]!.mounts).toHaveLength(1)
  })

  test('the session must answer exactly the secret names of the plan', () => {
    expect(compile(withSecrets(['b', 'A'])).secrets).toEqual(['S'])
  })
})

test('caches are mounts of the app, shared unless locked', () => {
  const caches = { npm: { directory: '/n', type: 'locked' }, apt: { directory: './a' } }
  const plan = { ...only({ caches: ['npm', 'apt'], commands: [run()] }), caches }
  const cache = { input: -1, output: -1, mountType: 3 }
  expect(execs(plan)[0]!.mounts).toEqual([
    { dest: './a', cacheOpt: { ID: 'app-apt', sharing: 0 }, ...cache },
    { dest: '/', input: 0, output: 0 },
    { dest: '/n', cacheOpt: { ID: 'app-npm', sharing: 2 }, ...cache },
  ])
  expect(execs(plan, { cacheKey: '' })[0]!.mounts![0]!.cacheOpt!.ID).toBe('apt')
})

describe('layers', () => {
  test('layers that cannot overlap are merged, under a name that lists them', () => {
    const others = [
      { step: 'a', include: ['/c'] },
      { spread: true, include: ['/s', '/t'] },
      { include: ['/u', '/v'] },
    ]
    const layers = [from(['/a', '/a/b']), from(['/ab'], { image: 'other:1' }), ...others]
    const merged = compile({ steps: [step('a')], ...deployOf(...layers) }).nodes.at(-1)!
    expect(merged.name).toBe(
      '[railpack] merge base, from, other:1, $a, spread /s, /t, input /u, /v',
    )
    const copied = ['copy /a/b', 'copy /ab', 'copy /c', 'copy /t', 'copy /v']
    expect(merged.inputs.map(({ name }) => name)).toEqual([undefined, ...copied])
  })

  test('layers are copied when one is local, takes the root, takes nothing, or reaches into another', () => {
    expect(isMerged(from(['/a']), from(['/b']))).toBe(true)
    expect(isMerged(from(['/a']), { local: true, include: ['x'] })).toBe(false)
    expect(isMerged(from(['/']))).toBe(false)
    expect(isMerged(from(['//']), from(['/a']))).toBe(true) // only in this spelling
    expect(isMerged(from(['/a']), from(['/b']), from(['/a/c']))).toBe(false)
    expect(isMerged(from(['/a'], { exclude: ['a'] }), from(['/c/../a']))).toBe(false)
    expect(names({ deploy: { base: { local: true }, inputs: [from(['/a'])] } }).at(-1)).toBe(
      'copy /a',
    )
    expect(isMerged(from(['/a']), from())).toBe(false)
    expect(isMerged(from(['/a']), from(undefined, { exclude: ['x'] }))).toBe(false)
    expect(isMerged(from(['/x', '/a/']), from(['/y', '/a']))).toBe(false)
    expect(isMerged(from(['/a/b']), from(['/a']))).toBe(false)
    expect(isMerged(from(['.']), from(['x']))).toBe(false)
    expect(isMerged(from(['/a', '/a']), from(['/b']))).toBe(true)
  })

  test('paths that the outer layer excludes do not overlap, at any depth', () => {
    for (const exclude of ['b', 'c', 'b/c'])
      expect(isMerged(from(['/a'], { exclude: [exclude] }), from(['/a/b/c', '/a/b/c/d']))).toBe(
        true,
      )
    expect(isMerged(from(['/a/b/c']), from(['/a'], { exclude: ['b'] }))).toBe(true)
    expect(isMerged(from(['/a'], { exclude: ['b/'] }), from(['/a/b/c']))).toBe(false)
    expect(isMerged(from(['/a']), from(['/a/b'], { exclude: ['b'] }))).toBe(false)
    expect(isMerged(from(['/a/b']), from(['/a'], { exclude: ['a'] }))).toBe(false)
  })

  test('an empty list of includes is no filter, copies nothing and is dropped from the merge', () => {
    expect(compile({ deploy: { base: { ...ground, include: [] } } }).nodes).toHaveLength(1)
    expect(compile(deployOf(from([]), from(['/x']))).nodes.at(-1)!.op.merge!.inputs).toHaveLength(2)
    expect(compile(deployOf(from([]))).nodes).toHaveLength(1)
  })

  test('a missing step is an empty one, and a note reports it', () => {
    const { nodes, notes } = compile(
      only({ inputs: ['$b', { step: 'c', include: ['/x'] }], commands: [run()] }),
    )
    expect(nodes.map(({ op }) => Object.keys(op)[1])).toEqual(['file', 'exec'])
    expect(notes).toEqual(
      ['b', 'c'].map(
        (name) => `The step a takes nothing from the step ${name}, which the plan does not have.`,
      ),
    )
    expect(imageEnv(deployOf({ step: 'b', include: ['/x'] }))).toEqual([
      `PATH=${systemPath}`,
      'RAILPACK_BUILT_AT=7',
    ])
  })

  test('every include is one copy of contents, with a name when source and destination are equal', () => {
    const plan = deployOf(
      from(['.', 'dist/', '/c/', '/app/d/.', '/app/'], { exclude: ['x'] }),
      from(['/']),
    )
    const resolved = [
      '/app → /app',
      '/app/dist → /app/dist',
      '/c → /c/',
      '/app/d → /app/d/.',
      '/app → /app',
      '/ → /',
    ]
    expect(copies(plan)).toEqual(resolved)
    const own = { dirCopyContents: true, exclude_patterns: ['x'] }
    expect(actions(plan)[0]!.copy).toEqual({ src: '/app', dest: '/app', ...own, ...lenient })
    const written = ['/app', '/app/dist', '/c/', '/app/d/.', '/app', '/']
    expect(names(plan)).toEqual(written.map((path) => `copy ${path}`))
  })

  test('a local path keeps only its last name', () => {
    const plan = deployOf({
      local: true,
      include: ['.', 'a/b', '/app/x', '/app//y'],
      exclude: ['z'],
    })
    expect(copies(plan).slice(1)).toEqual([
      '/ → /app',
      '/a/b → /app/b',
      '/app/x → /app/x',
      '/app/y → /app/y',
    ])
    expect(actions(plan)[1]!.copy!.exclude_patterns).toEqual(['z'])
    expect(names(plan)).toEqual(['[internal] receive the source', 'loading .', 'copy /app/x'])
  })
})

describe('the image', () => {
  test('starts with bash, in /app, for the requested platform', () => {
    const config = { Entrypoint: ['/bin/bash', '-c'], Cmd: ['/bin/bash'], WorkingDir: '/app' }
    expect(compile({}).image).toMatchObject({ architecture: 'amd64', os: 'linux', config })
    expect(compile({}).image).not.toHaveProperty('variant')
    expect(compile({}, { platform: 'linux/arm64/v8' }).image).toMatchObject({
      architecture: 'arm64',
      variant: 'v8',
    })
    expect(compile({ deploy: { base: ground, startCommand: 'a && b' } }).image.config.Cmd).toEqual([
      'a && b',
    ])
  })

  test('runs its commands without the cache for a rebuild', () => {
    const { definition, nodes } = compile(only({ commands: [run()] }), { ignoreCache: true })
    const { metadata } = Definition.decode(definition)
    expect(nodes.map(({ digest }) => metadata[digest]!.ignore_cache)).toEqual([false, true])
  })

  test('the address of the source appears in no log', () => {
    const plan = { deploy: { base: { local: true } } }
    expect(names(plan)).toEqual(['[internal] receive the source', 'loading .'])
  })
})

describe('refused', () => {
  test.each<[string, Plan, RegExp]>([
    [
      'an empty image',
      { steps: [{ name: 'a' }], deploy: { base: { step: 'a' } } },
      /would be empty/,
    ],
    [
      'a base that is no step',
      { deploy: { base: { step: 'b' } } },
      /the step b, which the plan does not have/,
    ],
    [
      'a cache that is not there',
      only({ caches: ['toString'], commands: [run()] }),
      /the cache toString/,
    ],
    [
      'an asset that is not there',
      only({ commands: [{ path: '/f', name: 'valueOf' }] }),
      /the asset valueOf/,
    ],
    [
      'a first layer with filters',
      only({ inputs: [{ ...ground, exclude: ['x'] }] }),
      /first layer/,
    ],
    [
      'a circle',
      { steps: [step('a', { inputs: ['$b'] }), step('b', { inputs: ['$a'] })] },
      /circle: a → b → a/,
    ],
    [
      'a command without words',
      only({ commands: [run('# x')] }),
      /step a has a command without words: "# x"/,
    ],
    ['an image of no valid name', only({ inputs: [{ image: 'A b' }] }), /step a .* not valid: A b/],
  ])('%s', (_, plan, words) => {
    const deploy = { base: ground, variables: { RAILPACK_VERSION: '0.36.2' }, ...plan.deploy }
    let refused: unknown
    try {
      compile({ ...plan, deploy })
    } catch (error) {
      refused = error
    }
    expect(refused).toBeInstanceOf(Problem)
    expect(refused).toMatchObject({ code: 'plan-invalid', message: expect.stringMatching(words) })
    expect((refused as Problem).message).toContain('railpack 0.36.2')
  })

  test('input that only the daemon would refuse matters only where the image needs it', () => {
    const steps = [step('a', { inputs: [{ image: 'A b' }], commands: [run('')] })]
    expect(compile({ steps }).nodes).toHaveLength(1)
  })
})

const recorded = recordedCases()
test.skipIf(!recorded)('agrees with railpack’s own frontend on the recorded plans', () => {
  const files = readdirSync(recorded!).filter((file) => file.endsWith('.json'))
  const read = (file: string) =>
    JSON.parse(readFileSync(join(recorded!, file), 'utf8')) as RailpackCase
  const differences = files
    .map((file) => [file, railpackDifference(read(file))])
    .filter(([, found]) => found !== null)
  expect(differences).toEqual([])
  expect(files.length).toBeGreaterThan(0)
})

/** The recorded cases are outside the project, beside its folder. */
function recordedCases(): string | null {
  for (let at = import.meta.dirname; at !== '/'; at = dirname(at)) {
    const folder = join(at, '../shared/conformance/railpack')
    if (existsSync(folder)) return folder
  }
  return null
}
