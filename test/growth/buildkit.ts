import { Metadata } from '@grpc/grpc-js'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tarBytes, tarHeader } from '../../api/tar-writer.ts'
import { sortEntries, type TreeEntry } from '../../api/tree.ts'
import { filterEntries } from '../../gateway/src/buildkit/context/context-filter.ts'
import { mismatchedIn } from '../../gateway/src/buildkit/context/large-files.ts'
import { parseIgnoreFile } from '../../api/dockerignore/parse-ignore-file.ts'
import { mountKeyOf, recordOf } from '../../gateway/src/buildkit/cache/cache-records.ts'
import { readDockerfile } from '../../gateway/src/buildkit/dockerfile.ts'
import { solveProblem } from '../../gateway/src/buildkit/failures.ts'
import { warningOf } from '../../gateway/src/buildkit/steps/lint-warning.ts'
import { IgnorePatterns } from '../../api/dockerignore/ignore-patterns.ts'
import { readPattern } from '../../api/dockerignore/ignore-tokens.ts'
import { ImageAccess } from '../../gateway/src/registry/image-access.ts'
import { isAppsRepository, placesOf } from '../../gateway/src/registry/image-places.ts'
import { BuildPolicy } from '../../gateway/src/buildkit/build-policy.ts'
import { ImagePolicy } from '../../gateway/src/buildkit/image-policy.ts'
import { PolicyQuestion, StatusResponse, UsageRecord } from '../../gateway/src/buildkit/messages.ts'
import { Progress } from '../../gateway/src/buildkit/progress.ts'
import { daemonWords } from '../../gateway/src/buildkit/daemon-words.ts'
import { MarkedOutput } from '../../gateway/src/buildkit/steps/marked-output.ts'
import { StepLog } from '../../gateway/src/buildkit/steps/step-log.ts'
import { treeOf } from '../gateway/buildkit/tree-of.ts'
import { hostileTexts, listed, repeated, type Shape, type Shapes } from './growth.ts'

const entry = (path: string): TreeEntry => ({
  type: 'file',
  path,
  mode: 0o644,
  sizeBytes: 0,
  sha256: '',
})
const entriesOf = (size: number) =>
  sortEntries(listed(size, 30, (at) => entry(`src-of-the-app-with-number-${at}`)))

/** Growing patterns over a fixed tree, and a growing tree under fixed patterns. */
const ignored = (pattern: (at: number) => string): Shapes => {
  const few = entriesOf(6_000)
  return {
    'many patterns': (size) => {
      const patterns = listed(size, 30, pattern).slice(0, 10_000)
      return () => filterEntries(few, patterns)
    },
    'many entries': (size) => {
      const entries = entriesOf(size)
      const patterns = Array.from({ length: 50 }, (_, at) => pattern(at))
      return () => filterEntries(entries, patterns)
    },
  }
}
const named = (name: string, shapes: Shapes): Shapes =>
  Object.fromEntries(Object.entries(shapes).map(([shape, made]) => [`${name}: ${shape}`, made]))

/** A Dockerfile on disk, and its ignore file. */
const dockerfile =
  (text: (size: number) => string, name = 'Dockerfile'): Shape =>
  (size) => {
    const root = mkdtempSync(join(tmpdir(), 'tarmac-growth-'))
    writeFileSync(join(root, 'Dockerfile'), '')
    writeFileSync(join(root, name), text(size))
    const tree = treeOf(root)
    return () => readDockerfile(tree, 'Dockerfile').finally(() => rmSync(root, { recursive: true }))
  }

const progressWith = (plain = (text: string) => text) =>
  new Progress({ emit: () => {}, pushing: () => {}, plain, recordOf: () => null })
const news = (vertexes: object[]) => StatusResponse.decode(StatusResponse.encode({ vertexes }))
const failure = (details: string) => {
  const error = Object.assign(new Error('a'), { code: 2, details, metadata: new Metadata() })
  return solveProblem(error, {
    progress: progressWith(),
    plain: (text) => text,
    changed: null,
    root: null,
  })
}
const access = new ImageAccess({ loginFor: () => null, own: 'a', mirrors: {}, keepMs: 0 })
const policy = new ImagePolicy(
  { allowed: ['docker.io'], frontends: [], own: 'a', refreshMs: 1000 },
  access,
)
const question = (identifier: string, digest?: string) =>
  PolicyQuestion.decode(
    PolicyQuestion.encode({
      about: { source: { identifier }, ...(digest && { image: { digest } }) },
    }),
  )
const digestOf = (at: number) => `sha256:${`${at}`.padStart(64, '0')}`

export const buildkit: Record<string, Shapes> = {
  'gateway/src/registry/image-places.ts › placesOf': hostileTexts((text) =>
    placesOf({ host: 'a', repository: text }, { a: [text] }),
  ),
  'gateway/src/registry/image-places.ts › isAppsRepository': hostileTexts((text) =>
    isAppsRepository({ host: text, repository: text }, { own: 'a', mirrors: { a: [text] } }),
  ),
  'gateway/src/buildkit/cache/cache-records.ts › mountKeyOf': hostileTexts((text) =>
    mountKeyOf(`cached mount / from exec ${text} with id "${text}"`),
  ),
  'gateway/src/buildkit/cache/cache-records.ts › recordOf': hostileTexts((text) =>
    recordOf(
      UsageRecord.decode(UsageRecord.encode({ type: 'exec.cachemount', description: text })),
    ),
  ),
  'api/dockerignore/ignore-tokens.ts › readPattern': {
    ...hostileTexts((text) => readPattern(text.slice(0, text.length / 8))),
    ...hostileTexts(readPattern, (text) => `[${text.slice(0, text.length / 8)}]`),
  },
  'api/dockerignore/ignore-patterns.ts › IgnorePatterns': hostileTexts((text) => {
    const part = text.slice(0, 60)
    const patterns = new IgnorePatterns([part, `*${part}*${part}`])
    return patterns.follow(patterns.start, text)
  }),
  'gateway/src/buildkit/steps/lint-warning.ts › warningOf': hostileTexts((text) => {
    const [short, data] = [Buffer.from(text), Buffer.from(text)]
    const range = { start: { line: 2 }, end: { line: 3 } }
    return warningOf({
      short,
      url: text,
      info: { file: 'Dockerfile', data },
      ranges: [range],
    } as never)
  }),
  'gateway/src/buildkit/context/context-filter.ts › filterEntries': {
    ...hostileTexts((text) => filterEntries([entry(`${'a'.repeat(250)}/b`), entry('é')], [text])),
    ...named(
      'names',
      ignored((at) => `src-of-the-app-with-number-${at}`),
    ),
    ...named(
      'in any folder',
      ignored((at) => `**/src-of-the-app-${at}`),
    ),
    ...named(
      'stars',
      ignored((at) => `*s*r*c*${at}*a*p*p*x`),
    ),
    ...named(
      'classes',
      ignored((at) => `*[a-z]*[!-~]*[^${at % 9}]*x`),
    ),
    ...named(
      'for and against',
      ignored((at) => (at % 2 ? '!*' : '*')),
    ),
    ...named(
      'folders',
      ignored((at) => `${'**/'.repeat(8)}a${at}`),
    ),
    '289 bytes that once took for ever': (size) => {
      const entries = listed(size, 60, (at) => entry(`${'a'.repeat(56)}${at}`))
      return () => filterEntries(entries, [`${'*a'.repeat(140)}b`])
    },
  },
  'api/tar-writer.ts › tarHeader': hostileTexts((text) => tarHeader(entry(text), new Date(0))),
  'api/tar-writer.ts › tarBytes': hostileTexts((text) => tarBytes([entry(text)])),
  'api/dockerignore/parse-ignore-file.ts › parseIgnoreFile': {
    ...hostileTexts(parseIgnoreFile),
    ...hostileTexts(parseIgnoreFile, (text) => `!${text}`),
  },
  'gateway/src/buildkit/dockerfile.ts › readDockerfile': {
    'spaces in a directive': dockerfile((size) => `# syntax=a${repeated(' ', size)}b\nFROM a`),
    'spaces before a directive': dockerfile((size) => `#${repeated(' ', size)}syntax\n`),
    'many directives': dockerfile((size) => repeated('# check=a\n', size)),
    'a long syntax': dockerfile((size) => `# syntax=docker/dockerfile:1${repeated('.', size)}x`),
    'a long first line': dockerfile((size) => `#!${repeated('#!', size)}`),
    'an ignore file of spaces': dockerfile((size) => `a${repeated(' ', size)}\rb`, '.dockerignore'),
  },
  'gateway/src/buildkit/context/large-files.ts › mismatchedIn': {
    ...hostileTexts((said) => mismatchedIn(new Error(said), [])),
    ...hostileTexts(
      (said) => mismatchedIn(new Error(said), []),
      (text) => `digest mismatch ${text}`,
    ),
  },
  'gateway/src/buildkit/failures.ts › solveProblem': {
    ...hostileTexts(failure),
    ...hostileTexts(failure, (text) => `failed to calculate checksum of ref a: "${text}`),
    'many requests': (size) => () => failure(repeated('//a/v2/a', size)),
  },
  'gateway/src/buildkit/image-policy.ts › ImagePolicy': {
    ...hostileTexts((text) =>
      new BuildPolicy(policy, { app: 'a', contextUrls: [], refresh: false }).answer(
        question(`docker-image://docker.io/${text}`),
      ),
    ),
    'many images in a text': (size) => {
      const found = new BuildPolicy(policy, { app: 'a', contextUrls: [], refresh: true })
      const names = listed(size, 100, (at) => `docker-image://docker.io/library/a${at}`)
      return () => {
        for (const [at, name] of names.entries()) found.answer(question(name, digestOf(at)))
        for (const at of names.keys()) found.withoutDigests(`FROM a@${digestOf(at)}`)
      }
    },
  },
  'gateway/src/buildkit/progress.ts › Progress': {
    'many steps': (size) => {
      const all = listed(size, 100, (at) => `sha256:${at}`)
      const begun = all.map((digest) =>
        news([{ digest, name: digest, started: { seconds: 1, nanos: 0 } }]),
      )
      return () => {
        const progress = progressWith()
        for (const one of begun) {
          progress.take(one)
          void progress.settled
        }
        return progress.stats()
      }
    },
    'many steps that have ended': (size) => {
      const time = { seconds: 1, nanos: 0 }
      const all = listed(size, 100, (at) => `sha256:${at}`)
      const ended = all.map((digest) =>
        news([{ digest, name: digest, started: time, completed: time }]),
      )
      return () => {
        const progress = progressWith()
        for (const one of ended) {
          progress.take(one)
          progress.running()
        }
      }
    },
    'much output in small pieces': (size) => {
      const log = { vertex: 'a', stream: 1, text: Buffer.from('a') }
      const some = StatusResponse.decode(
        StatusResponse.encode({ logs: listed(size, 10, () => log) }),
      )
      return () => {
        const progress = progressWith()
        progress.take(news([{ digest: 'a', name: 'a' }]))
        progress.take(some)
      }
    },
  },
  'gateway/src/buildkit/daemon-words.ts › daemonWords': {
    ...hostileTexts(daemonWords),
    'escaped quotes and no end': (size) => () => daemonWords('"' + '\\"'.repeat(size / 2)),
  },
  'gateway/src/buildkit/steps/marked-output.ts › MarkedOutput': {
    ...hostileTexts((text) => [...new MarkedOutput('a').parts(Buffer.from(text))]),
    'marks that are none': (size) => () => [
      ...new MarkedOutput('a').parts(Buffer.from('\x1ea '.repeat(size / 3))),
    ],
    'one byte of a mark at a time': (size) => () => {
      const output = new MarkedOutput('a'.repeat(36))
      for (let at = 0; at < size; at++) for (const _ of output.parts(Buffer.from('\x1e')));
    },
  },
  'gateway/src/buildkit/steps/step-log.ts › StepLog': {
    ...hostileTexts((text) => new StepLog('a', () => {}).add('stdout', Buffer.from(text))),
    'one byte at a time': (size) => () => {
      const log = new StepLog('a', () => {})
      for (let at = 0; at < size; at++) log.add('stdout', Buffer.from('a'))
    },
  },
}
