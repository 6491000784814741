import { expect, test } from 'vitest'
import {
  copy,
  exec,
  http,
  image,
  marshal,
  merge,
  mkfile,
  operations,
  scratch,
} from '../../../gateway/src/llb/graph.ts'
import { Definition, Op } from '../../../gateway/src/llb/ops.ts'

const platform = { OS: 'linux', Architecture: 'amd64' }
const base = () => image('docker.io/library/a:latest', platform)
const run = (name?: string) => exec(base(), { args: ['true'], cwd: '/', platform }, name)
const whole = { src: '/', dest: '/' }

test('equal operations are merged, and the last name visited counts', () => {
  const both = merge([
    run('first'),
    copy(scratch, run('second'), whole),
    copy(scratch, run(), whole),
  ])
  const nodes = operations(both!)
  expect(
    nodes.map(({ name, op }) => name ?? Object.keys(op).find((key) => key !== 'inputs')),
  ).toEqual(['source', 'second', 'file', 'merge'])
  expect(nodes[3]!.op.inputs).toHaveLength(3)
  // a merge names an input as often as it was given
  expect(nodes[3]!.op.merge!.inputs).toHaveLength(3)
})

test('a name also counts where the operation shares its slot with an equal one', () => {
  const nodes = operations(copy(run('ground'), run('source'), whole))
  expect(nodes.map(({ name }) => name)).toEqual([undefined, 'source', undefined])
  expect(nodes[2]!.op.file!.actions![0]).toMatchObject({ input: 0, secondaryInput: 0 })
})

test('another platform makes another operation', () => {
  const arm = image('docker.io/library/a:latest', { ...platform, Architecture: 'arm64' })
  expect(operations(copy(base(), arm, whole))).toHaveLength(3)
})

test('mounts are sorted by the bytes of their path; only mounts that are no cache have an output', () => {
  const mounts = [
    { dest: '/z', from: mkfile(scratch, { path: '/f', mode: 0o644, data: 'x' }) },
    { dest: './c', cache: { ID: 'c', sharing: 2 } },
    { dest: '/\u{1F600}', from: scratch },
    { dest: '/\uffee', from: scratch },
  ]
  const { op, inputs } = exec(base(), { args: ['true'], cwd: '/', mounts, platform })
  expect(op.exec!.mounts!.map(({ dest, input, output }) => [dest, input, output])).toEqual([
    ['./c', -1, -1],
    ['/', 0, 0],
    ['/z', 1, 1],
    ['/\uffee', -1, 2],
    ['/\u{1F600}', -1, 3],
  ])
  expect(inputs).toHaveLength(2)
})

test('empty file systems are dropped from a merge, and a single input is not merged', () => {
  const only = run()
  expect(merge([scratch, only], 'merged')).toBe(only)
  expect(merge([scratch, scratch])).toBe(scratch)
})

test('a definition lists inputs before users, names and caches by digest, and ends with a pointer', () => {
  const tar = http('http://127.0.0.1/t', { filename: 't.tar', checksum: 'sha256:00' }, 'fetch')
  const result = copy(run('work'), tar, whole)
  const { def, metadata } = Definition.decode(marshal(result, { ignoreCache: true }))
  const nodes = operations(result)
  expect(def.slice(0, -1)).toEqual(nodes.map(({ bytes }) => bytes))
  expect(Op.decode(def.at(-1)!)).toMatchObject({
    inputs: [{ digest: result.digest, index: 0 }],
    file: undefined,
  })
  expect(nodes.map(({ digest }) => metadata[digest])).toEqual([
    { ignore_cache: false, description: {} },
    { ignore_cache: true, description: { 'llb.customname': 'work' } },
    { ignore_cache: false, description: { 'llb.customname': 'fetch' } },
    { ignore_cache: false, description: {} },
  ])
  expect(Op.decode(tar.bytes).source).toEqual({
    identifier: 'http://127.0.0.1/t',
    attrs: { 'http.filename': 't.tar', 'http.checksum': 'sha256:00' },
  })
})

test('a chain of twenty thousand operations works', () => {
  let tree = base()
  for (let at = 0; at < 20_000; at += 1)
    tree = mkfile(tree, { path: '/f', mode: 0o644, data: String(at) })
  expect(operations(tree)).toHaveLength(20_001)
})
