import { Metadata } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import { solveProblem } from '../../../gateway/src/buildkit/failures.ts'
import { RpcStatus, StatusResponse } from '../../../gateway/src/buildkit/messages.ts'
import { Progress } from '../../../gateway/src/buildkit/progress.ts'

function problemOf(details: string, exitCode?: number) {
  const metadata = new Metadata()
  const found = [{ type: 'errdefs.Vertex', value: { digest: 'sha256:v' } as object }]
  if (exitCode !== undefined)
    found.push({ type: 'gatewayapi.ExitMessage', value: { Code: exitCode } })
  const encoded = found.map(({ type, value }) => ({
    type: `github.com/moby/buildkit/${type}+json`,
    value: Buffer.from(JSON.stringify(value)),
  }))
  metadata.set('grpc-status-details-bin', Buffer.from(RpcStatus.encode({ details: encoded })))
  const progress = new Progress({
    emit() {},
    pushing() {},
    plain: (text) => text,
    recordOf: () => null,
  })
  const vertex = { digest: 'sha256:v', name: 'RUN x', started: { seconds: 1, nanos: 0 } }
  progress.take(StatusResponse.decode(StatusResponse.encode({ vertexes: [vertex] })))
  const error = Object.assign(new Error(details), { code: 2, details, metadata })
  return solveProblem(error, { progress, plain: (text) => text, changed: null, root: null }).body()
}

// RUN : "no active session for" && false
test('a command that quotes the daemon’s error for a lost session failed by itself', () => {
  const details =
    'process "/bin/sh -c : \\"no active session for\\" && false" did not complete successfully: exit code: 1'
  expect(problemOf(details, 1)).toMatchObject({ code: 'build-failed', exitCode: 1 })
})

// COPY ["no space left on device", "/"]: read as a full disk, it would remove everybody's build
// caches and repeat the build.
test('a missing file whose name says that the disk is full is a missing file', () => {
  const details =
    'failed to compute cache key: failed to calculate checksum of ref abc::def: "/no space left on device": not found'
  expect(problemOf(details).code).toBe('build-failed')
})

test.each([
  'dockerfile parse error on line 2: unknown instruction: //h/v2/a/manifests/1',
  'failed to calculate checksum of ref abc::def: "/failed to resolve source metadata for x: y": not found',
])('%s is not a registry failure', (details) => {
  expect(problemOf(details).code).toBe('build-failed')
})

// The daemon quotes as Go does, with a backslash before a quote in the command.
test('a command that claims memory ran out was not ended by the kernel', () => {
  const details =
    'process "/bin/sh -c : \\" did not complete successfully: cannot allocate memory" did not complete successfully: exit code: 1'
  expect(problemOf(details, 1)).not.toHaveProperty('outOfMemory')
})

test.each([
  'failed to compute cache key: failed to calculate checksum of ref a::b: "/x: unexpected status from GET request to http://h/v2/a/manifests/1": not found',
  'failed to compute cache key: failed to calculate checksum of ref a::b: "/x: failed to do request: Get \\"http://h/v2/a/manifests/1": not found',
  'failed to process "${X:?: no space left on device}": X: no space left on device',
  'dockerfile parse error on line 2: unknown flag: x: no space left on device',
  'failed to compute cache key: failed to calculate checksum of ref a::b: "/: no active session for x: y": not found',
])('%s is the fault of the source', (details) => {
  expect(problemOf(details).code).toBe('build-failed')
})

test.each([
  [
    'failed to push h/denied:1: failed to do request: Post "http://h/v2/denied/blobs/": EOF',
    'registry-unavailable',
  ],
  [
    'failed to push h/denied:1: unexpected status from PUT request to http://h/v2/denied/x: 500 Oops',
    'registry-unavailable',
  ],
  ['h/denied:404: failed to resolve source metadata for h/denied:404: EOF', 'registry-unavailable'],
  [
    'failed to copy: failed to do request: Get "http://h/v2/a/blobs/sha256:ab": EOF',
    'registry-unavailable',
  ],
  ['failed to commit "a": write /x "y" z: no space left on device', 'no-space'],
])('%s is %s, whatever names it holds', (details, code) => {
  expect(problemOf(details).code).toBe(code)
})
