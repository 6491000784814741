import { Metadata } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import { solveProblem } from '../../../gateway/src/buildkit/failures.ts'
import { RpcStatus, StatusResponse } from '../../../gateway/src/buildkit/messages.ts'
import { Progress } from '../../../gateway/src/buildkit/progress.ts'

/** What a failed call of grpc-js looks like. */
function failure(details: string, code = 2, more: Record<string, unknown> = {}) {
  const metadata = new Metadata()
  const found = Object.entries(more).map(([type, value]) => ({
    type: `github.com/moby/buildkit/${type}+json`,
    value: Buffer.from(JSON.stringify(value)),
  }))
  if (found.length > 0) metadata.set('grpc-status-details-bin', Buffer.from(RpcStatus.encode({ details: found })))
  return Object.assign(new Error(details), { code, details, metadata })
}
function problemOf(error: Error, { changed = null as string | null, step = 'RUN make', killed = 0 } = {}) {
  const progress = new Progress({
    tell() {},
    pushing() {},
    plain: (text) => text,
  })
  const vertex = { digest: 'sha256:v', name: step, started: { seconds: 1, nanos: 0 } }
  progress.take(StatusResponse.decode(StatusResponse.encode({ vertexes: [vertex] })))
  return solveProblem(error, { progress, plain: (text) => text, changed, killed }).body()
}
const vertex = { 'errdefs.Vertex': { digest: 'sha256:v' } }

// Words of buildkitd 0.32, from real failures.
test.each([
  [
    'failed to push h/a:1: unexpected status from HEAD request to http://h/v2/a/blobs/x: 401 Unauthorized',
    'registry-denied',
  ],
  ['failed to push h/a:1: denied', 'registry-denied'],
  ['failed to push h/a:1: unknown: repository name not known to registry', 'registry-unavailable'],
  ['failed to push h/a:1: failed to do request: Post "http://h/v2/a/blobs/uploads/": EOF', 'registry-unavailable'],
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
  ['b: failed to resolve source metadata for docker.io/library/b:latest: pull access denied', 'image-not-found'],
  ['failed to solve: write /x: no space left on device', 'no-space'],
  ['secret TOKEN: not found', 'build-failed'],
  ['failed to read dockerfile: open Dockerfile: no such file or directory', 'build-failed'],
])('%s is %s', (details, code) => {
  expect(problemOf(failure(details)).code).toBe(code)
})

test('an image is named as it was asked for', () => {
  const asked = 'failed to load cache key: failed to do request: Head "http://h:1/v2/a/b/manifests/'
  expect(problemOf(failure('failed to load cache key: h:1/a:1: not found'))).toMatchObject({ image: 'h:1/a:1' })
  expect(problemOf(failure(`${asked}1": EOF`))).toMatchObject({ image: 'h:1/a/b:1' })
  expect(problemOf(failure(`${asked}sha256:ab": EOF`))).toMatchObject({ image: 'h:1/a/b@sha256:ab' })
})

test('a step that was killed says whether memory ran out, as the kernel tells', () => {
  const error = failure('process "make" did not complete', 2, { ...vertex, 'gatewayapi.ExitMessage': { Code: 137 } })
  expect(problemOf(error)).toMatchObject({ exitCode: 137, step: 'RUN make' })
  expect(problemOf(error).detail).toContain('not by the kernel')
  expect(problemOf(error, { killed: 1 })).toMatchObject({
    outOfMemory: true,
    detail: expect.stringContaining('memory ran out'),
  })
})

test('a file that changed outweighs whatever the daemon made of it', () => {
  expect(problemOf(failure('unexpected EOF', 2, vertex), { changed: 'a/b' })).toMatchObject({
    code: 'source-changed',
    path: 'a/b',
  })
})

test('a daemon that went away, or lost our session, is not the source’s fault', () => {
  const away = [
    failure('Connection dropped', 14),
    failure('context canceled', 1),
    failure('no active session for x: timeout', 4),
  ]
  for (const error of away) expect(problemOf(error).code).toBe('buildkit-unavailable')
})

test('an error that is not of the call passes through as it is', () => {
  expect(() => problemOf(new TypeError('ours'))).toThrow('ours')
})
