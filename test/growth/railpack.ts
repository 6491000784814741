import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TreeEntry } from '../../api/tree.ts'
import { unwantedFiles } from '../../gateway/src/buildkit/context/unwanted-files.ts'
import { railpackRules } from '../../gateway/src/railpack/ignore-rules.ts'
import { unusedDockerfile } from '../../gateway/src/railpack/unused-dockerfile.ts'
import { scratch, http } from '../../gateway/src/llb/graph.ts'
import { cleanPath, isOutside } from '../../api/text/clean-path.ts'
import { imageName } from '../../gateway/src/llb/image-name.ts'
import { StatusResponse } from '../../gateway/src/buildkit/messages.ts'
import { chooseBuilder } from '../../gateway/src/railpack/choose-builder.ts'
import { compilePlan } from '../../gateway/src/railpack/compile/compile.ts'
import { base, dir, resolve } from '../../gateway/src/go/paths.ts'
import { assemble } from '../../gateway/src/railpack/compile/layers.ts'
import { type Layer, readPlan } from '../../gateway/src/railpack/plan-schema.ts'
import { planVariables } from '../../gateway/src/railpack/plan-variables.ts'
import { shellWords } from '../../gateway/src/go/shell-words.ts'
import { hostileTexts, listed, repeated, type Shape, type Shapes } from './growth.ts'

const compiled = (plan: object) => {
  const source = http('http://a/b', { filename: 'c' })
  const more = {
    cacheKey: 'a',
    secretsHash: 'a',
    platform: 'linux/amd64',
    source,
    builtAt: new Date(0),
  }
  return compilePlan(readPlan(JSON.stringify({ deploy: { base: { image: 'a' } }, ...plan })), more)
}
const planOf = (plan: (size: number) => object) => (size: number) => {
  const made = plan(size)
  return () => compiled(made)
}
const layersOf = (layers: (size: number) => Layer[]) => (size: number) => {
  const made = layers(size)
  return () => assemble(made, () => scratch)
}
const tree = { root: '/', digest: 'a', files: 0, sizeBytes: 0, entries: [] }

const fileAt = (path: string): TreeEntry => ({
  type: 'file',
  path,
  mode: 0o644,
  sizeBytes: 0,
  sha256: '',
})

/** railpack's config on disk. */
const configOf =
  (text: (size: number) => string): Shape =>
  (size) => {
    const root = mkdtempSync(join(tmpdir(), 'tarmac-growth-'))
    writeFileSync(join(root, 'railpack.json'), text(size))
    const entries = [fileAt('railpack.json')]
    return () => {
      railpackRules({ ...tree, root, entries }, {})
      rmSync(root, { recursive: true })
    }
  }

export const railpack: Record<string, Shapes> = {
  'api/text/clean-path.ts › cleanPath': {
    ...hostileTexts(cleanPath),
    'a long name and many ways up': (size) => () =>
      cleanPath(`${repeated('a', size)}/${repeated('b/../', size)}`),
    'down and up': (size) => () => cleanPath(repeated('a/', size) + repeated('../', size)),
  },
  'api/text/clean-path.ts › isOutside': hostileTexts(isOutside),
  'gateway/src/llb/image-name.ts › imageName': {
    ...hostileTexts(imageName),
    ...hostileTexts(imageName, (text) => `a.b/${text}`),
  },
  'gateway/src/go/paths.ts › base': hostileTexts(base),
  'gateway/src/go/paths.ts › dir': hostileTexts(dir),
  'gateway/src/go/paths.ts › resolve': hostileTexts((text) => resolve('/app', text)),
  'gateway/src/go/shell-words.ts › shellWords': hostileTexts(shellWords),
  'gateway/src/railpack/choose-builder.ts › chooseBuilder': {
    ...hostileTexts((plan) => chooseBuilder(tree, { plan, dockerfile: null, build: {} })),
    'a long name and many ways up': (size) => () =>
      chooseBuilder(tree, {
        plan: null,
        dockerfile: `${repeated('a', size)}/${repeated('b/../', size)}`,
        build: {},
      }),
  },
  'gateway/src/railpack/ignore-rules.ts › railpackRules': {
    ...Object.fromEntries(
      ['/*', '//', '"\\\\"', '"', ',', ', ', ',]', '{', '"a",'].map((text) => [
        `many ${text}`,
        configOf((size) => repeated(text, size)),
      ]),
    ),
    'many patterns': configOf((size) => JSON.stringify({ exclude: listed(size, 10, String) })),
  },
  'gateway/src/railpack/unused-dockerfile.ts › unusedDockerfile': {
    'many Dockerfiles': (size) => {
      const paths = listed(size, 20, (at) => `b${at}/Dockerfile`)
      return () => unusedDockerfile(tree, paths, 'a')
    },
    ...hostileTexts((path) => unusedDockerfile(tree, [path], 'a')),
  },
  'gateway/src/buildkit/context/unwanted-files.ts › unwantedFiles': {
    'many files': (size) => {
      const entries = listed(size, 20, (at) => fileAt(`b${at}/.env`))
      return () => unwantedFiles(entries, () => Buffer.alloc(0))
    },
    ...hostileTexts((path) => unwantedFiles([fileAt(path)], () => Buffer.alloc(0))),
  },
  'gateway/src/railpack/plan-variables.ts › planVariables': {
    ...hostileTexts((name) => planVariables({ [name]: 'a' }, [name])),
    'many variables and secrets': (size) => {
      const secrets = listed(size, 8, (at) => `A${at}`)
      const build = Object.fromEntries(secrets.map((name) => [`B${name}`, 'a']))
      return () => planVariables(build, secrets)
    },
  },
  'gateway/src/railpack/plan-schema.ts › readPlan': {
    ...hostileTexts(readPlan),
    ...hostileTexts((text) =>
      readPlan(JSON.stringify({ steps: [{ name: 'a', commands: [text] }], deploy: { base: {} } })),
    ),
    'lists in lists': (size) => () => readPlan('['.repeat(size / 2) + ']'.repeat(size / 2)),
    'many wrong values': (size) => () =>
      readPlan(`{"secrets":[${repeated('0,', size)}0],"deploy":{"base":{}}}`),
    'many unknown fields': (size) => {
      const text = `{"deploy":{},${listed(size, 10, (at) => `"a${at}":0`).join()}}`
      return () => readPlan(text)
    },
  },
  'gateway/src/railpack/compile/compile.ts › compilePlan': {
    'many commands': planOf((size) => ({
      steps: [{ name: 'a', commands: listed(size, 80, (at) => `echo ${at}`) }],
    })),
    'many folders of the path': planOf((size) => ({
      steps: [{ name: 'a', commands: listed(size, 80, (at) => `${at}`).map((path) => ({ path })) }],
    })),
    'steps on each other': planOf((size) => ({
      steps: listed(size, 200, (at) => `${at}`).map((name, at) => ({
        name,
        inputs: at > 0 ? [`$${at - 1}`] : ['$x'],
      })),
    })),
    'steps on all before': planOf((size) => ({
      steps: Array.from({ length: Math.sqrt(size / 100) }, (_, at) => ({
        name: `${at}`,
        inputs: Array.from({ length: at }, (_, other) => ({ step: `${other}` })),
      })),
    })),
    'many secrets': planOf((size) => ({
      secrets: listed(size, 10, (at) => `A${at}`),
      steps: [{ name: 'a', secrets: ['*'], commands: ['echo'] }],
    })),
  },
  'gateway/src/railpack/compile/layers.ts › assemble': {
    'many layers': layersOf((size) =>
      listed(size, 200, (at) => ({ image: 'a', include: [`/a${at}`] }) as never),
    ),
    'layers inside of one that excludes much': layersOf((size) => [
      { image: 'a' },
      { image: 'b', include: ['/a'], exclude: listed(size / 2, 8, (at) => `x${at}`) },
      ...listed(size / 2, 200, (at) => `/a/x${at}`).map((path) => ({ step: 'c', include: [path] })),
    ]),
    'deep paths': layersOf((size) => [
      { image: 'a' },
      { image: 'b', include: ['/a'], exclude: [repeated('x/', size)] },
      { image: 'c', include: [`/a/${repeated('x/', size)}y`] },
    ]),
  },
  'gateway/src/buildkit/messages.ts › StatusResponse': {
    'many parts': (size) => {
      const bytes = StatusResponse.encode({
        logs: listed(size, 10, () => 'a').map((vertex) => ({ vertex })),
      })
      return () => StatusResponse.decode(bytes)
    },
  },
}
