import { expect, test } from 'vitest'
import type { Build, SolveOptions } from '../../../gateway/src/buildkit/build.ts'
import type { Context } from '../../../gateway/src/buildkit/context/context-server.ts'
import { requestOf } from '../../../gateway/src/buildkit/solve-request.ts'
import { Definition } from '../../../gateway/src/llb/ops.ts'

const options: SolveOptions = {
  ref: 'ref',
  app: 'shop',
  names: ['registry.test/shop:1', 'registry.test/shop:2'],
  labels: { app: 'shop' },
  secrets: new Map(),
  rebuild: false,
  cache: null,
  emit: () => {},
  pushing: () => {},
}
const graph: Build = {
  definition: Buffer.from('graph'),
  image: { os: 'linux', config: { Cmd: ['run'], Labels: { by: 'plan' } } },
  context: null,
}
const context: Context = {
  url: 'http://context.test',
  large: [],
  filename: 'context.tar',
  changed: () => null,
  problem: () => null,
  [Symbol.dispose]: () => {},
}
const text = Buffer.from('FROM scratch\n')
const dockerfile: Build = {
  dockerfile: { path: 'web/Dockerfile', content: text, ignore: [], frontend: null },
  target: null,
  buildArgs: { A: 'a', BUILDKIT_SYNTAX: 'x', BUILDKIT_CACHE_MOUNT_NS: 'x' },
  platform: 'linux/amd64',
  cacheKey: 'shop',
  context,
}
const exported = {
  name: 'registry.test/shop:1,registry.test/shop:2',
  push: 'true',
  'oci-mediatypes': 'true',
  compression: 'zstd',
}
const cache = 'registry.test/cache:shop'
const cacheExport = { mode: 'max', 'ignore-error': 'true', compression: 'zstd' }

test('a graph is pushed with its image configuration and the labels', () => {
  const { exporters, ...rest } = requestOf(graph, { ...options, annotations: { a: 'b' } })
  const config = { os: 'linux', config: { Cmd: ['run'], Labels: { by: 'plan', app: 'shop' } } }
  const attrs = {
    ...exported,
    'annotation.a': 'b',
    'containerimage.config': JSON.stringify(config),
  }
  expect(exporters).toEqual([{ type: 'image', attrs }])
  expect(rest).toEqual({
    definition: Buffer.from('graph'),
    cache: { imports: [], exports: [] },
  })
})

test('the compression of the layers may be chosen', () => {
  const compression = { type: 'gzip', level: 0 }
  expect(requestOf(dockerfile, { ...options, compression }).exporters).toEqual([
    { type: 'image', attrs: { ...exported, compression: 'gzip', 'compression-level': '0' } },
  ])
})

test('a graph without names is not pushed', () => {
  expect(requestOf(graph, { ...options, names: [] }).exporters).toEqual([])
})

test('a graph reads and writes a build cache in a registry', () => {
  expect(requestOf(graph, { ...options, cache }).cache).toEqual({
    imports: [{ type: 'registry', attrs: { ref: cache } }],
    exports: [{ type: 'registry', attrs: { ref: cache, ...cacheExport } }],
  })
})

test('a Dockerfile gets its build arguments, except those that control the builder', () => {
  expect(requestOf(dockerfile, options)).toEqual({
    frontend: 'dockerfile.v0',
    frontendAttrs: {
      filename: 'web/Dockerfile',
      platform: 'linux/amd64',
      cmdline: 'dockerfile.v0',
      'build-arg:A': 'a',
      'build-arg:BUILDKIT_CACHE_MOUNT_NS': 'shop',
      'label:app': 'shop',
    },
    frontendInputs: { context: expect.anything(), dockerfile: expect.anything() },
    cache: { imports: [], exports: [] },
    exporters: [{ type: 'image', attrs: exported }],
  })
})

test('a Dockerfile travels beside the context, at its own path', () => {
  const { frontendInputs } = requestOf(dockerfile, options) as Required<
    Extract<ReturnType<typeof requestOf>, { frontend: string }>
  >
  const texts = (definition: Uint8Array) =>
    Definition.decode(definition).def.map((op) => Buffer.from(op).toString('latin1'))
  const [folder, file] = texts(frontendInputs.dockerfile)
  expect(folder).toContain('/web')
  expect(file).toContain('/web/Dockerfile')
  expect(file).toContain('FROM scratch\n')
  expect(texts(frontendInputs.context)[0]).toContain('http://context.test')
})

test('a Dockerfile may have a frontend, a target, a host name, a cache and no cached steps', () => {
  const build: Build = {
    ...dockerfile,
    dockerfile: { path: 'Dockerfile', content: text, ignore: [], frontend: 'frontend.test/f' },
    target: 'web',
    hostname: 'host',
  }
  const request = requestOf(build, { ...options, rebuild: true, cache })
  expect(request).toMatchObject({
    frontend: 'gateway.v0',
    frontendAttrs: {
      source: 'frontend.test/f',
      cmdline: 'frontend.test/f',
      target: 'web',
      hostname: 'host',
      'no-cache': '',
      'cache-imports': JSON.stringify([{ Type: 'registry', Attrs: { ref: cache } }]),
    },
    cache: {
      imports: [],
      exports: [{ type: 'registry', attrs: { ref: cache, ...cacheExport } }],
    },
  })
})
