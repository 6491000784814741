import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { Problem } from '#api/problem.ts'
import {
  askPrivileged,
  hasPrivileged,
  usePrivileged,
} from '../../../gateway/src/host/privileged/ask.ts'
import { calls } from '../../../gateway/src/host/privileged/calls.ts'
import { serveCalls } from '../../../gateway/src/privileged/serve.ts'

let dir: string
let server: Awaited<ReturnType<typeof serveCalls>>
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-privileged-'))
  const socket = join(dir, 'privileged.sock')
  server = await serveCalls(socket, process.getgid!())
  usePrivileged(socket)
})
afterEach(async () => {
  usePrivileged('')
  server[Symbol.dispose]()
  await rm(dir, { recursive: true })
})

test('a call is answered by the other process', async () => {
  server.on(calls.daemon, async () => 'unix:///data/buildkitd.sock')
  expect(hasPrivileged()).toBe(true)
  expect(await askPrivileged(calls.daemon, null)).toBe('unix:///data/buildkitd.sock')
})

test('a Problem of the other process arrives with its code and its facts', async () => {
  const problem = new Problem('buildkit-unavailable', 'It does not start.', { facts: { tries: 3 } })
  server.on(calls.daemon, () => Promise.reject(problem))
  await expect(askPrivileged(calls.daemon, null)).rejects.toMatchObject({
    code: 'buildkit-unavailable',
    message: 'It does not start.',
    facts: { tries: 3 },
  })
})

test('an error that is no Problem arrives with its words, and so does a call that is unknown', async () => {
  server.on(calls.sandboxKind, () => Promise.reject(new Error('no bwrap')))
  await expect(askPrivileged(calls.sandboxKind, null)).rejects.toThrow('no bwrap')
  await expect(askPrivileged(calls.lookups, null)).rejects.toThrow('There is no call /lookups')
})

test('an argument of another shape is refused before anything runs', async () => {
  let ran = false
  server.on(calls.stopLargestStep, async () => {
    ran = true
    return null
  })
  const { name } = calls.stopLargestStep
  const loose = { name, argument: z.string(), answer: z.null() }
  await expect(askPrivileged(loose, 'everything')).rejects.toThrow()
  expect(ran).toBe(false)
})

test('an abort ends the work of the other process', async () => {
  const ended = Promise.withResolvers<void>()
  const begun = Promise.withResolvers<void>()
  server.on(calls.firewall, (_none, signal) => {
    signal.addEventListener('abort', () => ended.resolve())
    begun.resolve()
    return new Promise(() => {})
  })
  const stop = new AbortController()
  const asked = askPrivileged(calls.firewall, null, stop.signal)
  asked.catch(() => {})
  await begun.promise
  stop.abort(new Error('cancelled'))
  await expect(asked).rejects.toThrow('cancelled')
  await ended.promise
})

test('a call that is too large is refused', async () => {
  server.on(calls.sandboxKind, async () => 'bubblewrap')
  const { name } = calls.sandboxKind
  const loose = { name, argument: z.string(), answer: z.string() }
  await expect(askPrivileged(loose, 'x'.repeat(5_000_000))).rejects.toThrow(
    /at most 4194304 bytes|EPIPE|ECONNRESET/,
  )
})
