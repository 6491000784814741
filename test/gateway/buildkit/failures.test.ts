import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Metadata } from '@grpc/grpc-js'
import { expect, onTestFinished, test } from 'vitest'
import { solveProblem } from '../../../gateway/src/buildkit/failures.ts'
import { RpcStatus, StatusResponse } from '../../../gateway/src/buildkit/messages.ts'
import { Progress } from '../../../gateway/src/buildkit/progress.ts'

/** A failed call in the shape that grpc-js gives it. */
function failure(details: string, code = 2, more: Record<string, unknown> = {}) {
  const metadata = new Metadata()
  const found = Object.entries(more).map(([type, value]) => ({
    type: `github.com/moby/buildkit/${type}+json`,
    value: Buffer.from(JSON.stringify(value)),
  }))
  if (found.length > 0)
    metadata.set('grpc-status-details-bin', Buffer.from(RpcStatus.encode({ details: found })))
  return Object.assign(new Error(details), { code, details, metadata })
}
function problemOf(
  error: Error,
  {
    changed = null as string | null,
    step = 'RUN make',
    root = null as string | null,
    stderr = '',
  } = {},
) {
  const progress = new Progress({
    emit() {},
    pushing() {},
    plain: (text) => text,
    recordOf: () => null,
  })
  const vertex = { digest: 'sha256:v', name: step, started: { seconds: 1, nanos: 0 } }
  progress.take(StatusResponse.decode(StatusResponse.encode({ vertexes: [vertex] })))
  const log = { vertex: vertex.digest, stream: 2, text: Buffer.from(stderr) }
  progress.take(StatusResponse.decode(StatusResponse.encode({ logs: [log] })))
  return solveProblem(error, { progress, plain: (text) => text, changed, root }).body()
}
const vertex = { 'errdefs.Vertex': { digest: 'sha256:v' } }

// Error texts of buildkitd 0.32, from real failures.
test.each([
  [
    'failed to push h/a:1: unexpected status from HEAD request to http://h/v2/a/blobs/x: 401 Unauthorized',
    'registry-denied',
  ],
  ['failed to push h/a:1: denied', 'registry-denied'],
  ['failed to push h/a:1: unknown: repository name not known to registry', 'registry-unavailable'],
  [
    'failed to push h/a:1: failed to do request: Post "http://h/v2/a/blobs/uploads/": EOF',
    'registry-unavailable',
  ],
  [
    'failed to push h/a:1: unexpected status from POST request to http://h/x: 500 Internal Server Error: oops',
    'registry-unavailable',
  ],
  ['failed to load cache key: h:1/a:1: not found', 'image-not-found'],
  [
    'failed to load cache key: unexpected status from HEAD request to http://h:1/v2/a/manifests/1: 401 Unauthorized',
    'image-not-found',
  ],
  [
    'failed to load cache key: failed to do request: Head "http://h:1/v2/a/manifests/1": dial tcp: no such host',
    'registry-unavailable',
  ],
  [
    'b: failed to resolve source metadata for docker.io/library/b:latest: pull access denied',
    'image-not-found',
  ],
  ['failed to solve: write /x: no space left on device', 'no-space'],
  ['secret TOKEN: not found', 'build-failed'],
  ['failed to read dockerfile: open Dockerfile: no such file or directory', 'build-failed'],
])('%s is %s', (details, code) => {
  expect(problemOf(failure(details)).code).toBe(code)
})

test('an image is named as it was requested', () => {
  const asked = 'failed to load cache key: failed to do request: Head "http://h:1/v2/a/b/manifests/'
  expect(problemOf(failure('failed to load cache key: h:1/a:1: not found'))).toMatchObject({
    image: 'h:1/a:1',
  })
  expect(problemOf(failure(`${asked}1": EOF`))).toMatchObject({ image: 'h:1/a/b:1' })
  expect(problemOf(failure(`${asked}sha256:ab": EOF`))).toMatchObject({
    image: 'h:1/a/b@sha256:ab',
  })
})

const killed = failure('process "make" did not complete', 2, {
  ...vertex,
  'gatewayapi.ExitMessage': { Code: 137 },
})

test('a step whose command was not found says so', () => {
  const missing = failure('process "make" did not complete successfully: exit code: 127', 2, {
    ...vertex,
    'gatewayapi.ExitMessage': { Code: 127 },
  })
  expect(problemOf(missing).detail).toBe(
    'The step “RUN make” failed: it ended with exit code 127 (a shell’s code for a command that was not found).',
  )
})

test('a killed step counts as out of memory only when the kernel reports it for that step', () => {
  expect(problemOf(killed)).toMatchObject({ code: 'build-failed', exitCode: 137, step: 'RUN make' })
  expect(problemOf(killed)).not.toHaveProperty('outOfMemory')
  expect(problemOf(killed).detail).toContain('it was killed (SIGKILL)')
  const said = failure('process "make" did not complete successfully: cannot allocate memory', 2, {
    ...vertex,
    'gatewayapi.ExitMessage': { Code: 137 },
  }) // the daemon's words with cgroup v2
  expect(problemOf(said)).toMatchObject({
    outOfMemory: true,
    detail: expect.stringContaining('memory ran out'),
  })
})

test.each([
  [
    'killed 2\nat_own_limit 9\n',
    'the step used more than 512 MiB of memory',
    { outOfMemory: true, memoryLimitBytes: 2 ** 29 },
  ],
  [
    'killed 1\n',
    'all build steps together used more than 2 GiB of memory',
    { outOfMemory: true, memoryLimitBytes: 2 ** 31 },
  ],
  ['forks_refused 17\n', 'the step may have 4096 processes and threads', { processLimit: 4096 }],
])('a step that reached a limit (%j) names it: %s', (record, words, facts) => {
  const root = mkdtempSync(join(tmpdir(), 'failures-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  mkdirSync(join(root, 'steps'))
  const limits = `memory ${2 ** 29}\nmemory_of_all ${2 ** 31}\nprocesses 4096\n`
  writeFileSync(join(root, 'steps/abc'), `${limits}${record}`)
  const problem = problemOf(killed, { root, stderr: 'tarmac-step abc\n' })
  expect(problem).toMatchObject({ code: 'build-failed', exitCode: 137, ...facts })
  expect(problem.detail).toContain(words)
  const ended = { ...vertex, 'gatewayapi.ExitMessage': { Code: 1 } }
  const survived = problemOf(failure('exit code: 1', 2, ended), {
    root,
    stderr: 'tarmac-step abc\n',
  })
  expect(survived.detail).toContain(words)
  expect(survived.detail).not.toContain('The kernel ended it')
  expect(problemOf(killed, { root, stderr: 'tarmac-step other\n' }).detail).not.toContain(words)
  expect(problemOf(killed, { root, stderr: 'own words\ntarmac-step abc\n' }).detail).not.toContain(
    words,
  )
})

test('a step that could not be limited is the gateway’s fault, and may be retried', () => {
  const root = mkdtempSync(join(tmpdir(), 'failures-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  mkdirSync(join(root, 'steps'))
  writeFileSync(join(root, 'steps/abc'), 'memory 1\nrefused /sys/fs/cgroup/pids/tarmac/pids.max\n')
  const problem = problemOf(killed, { root, stderr: 'tarmac-step abc\n' })
  expect(problem).toMatchObject({ code: 'buildkit-unavailable', fault: 'gateway', retry: true })
  expect(problem.detail).toContain('pids.max')
})

test('a changed file outweighs the daemon’s own error', () => {
  expect(problemOf(failure('unexpected EOF', 2, vertex), { changed: 'a/b' })).toMatchObject({
    code: 'source-changed',
    path: 'a/b',
  })
})

test('a daemon that is gone, or lost our session, is not the fault of the source', () => {
  const unavailable = [
    failure('Connection dropped', 14),
    failure('context canceled', 1),
    failure('no active session for x: timeout', 4),
  ]
  for (const error of unavailable) expect(problemOf(error).code).toBe('buildkit-unavailable')
})

test('an error from outside the call passes through unchanged', () => {
  expect(() => problemOf(new TypeError('ours'))).toThrow('ours')
})
