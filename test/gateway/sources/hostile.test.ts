import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { Sources } from '../../../gateway/src/sources/sources.ts'
import { entry, hostile, limits, odd, tar } from '../../archives.ts'
import { foreign } from '../../foreign-archives.ts'

let dir: string
let sources: Sources
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tarmac-intake-'))
  sources = await Sources.open({ dir, limits })
})
afterEach(async () => {
  await sources[Symbol.asyncDispose]()
  await rm(dir, { recursive: true })
})

/** Pieces of odd lengths, as a network delivers them. */
function* pieces(bytes: Buffer, length = 60_001) {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}
const receive = (bytes: Buffer, length?: number) =>
  sources.receive(Readable.from(pieces(bytes, length)), { signal: AbortSignal.timeout(60_000) })
const left = async () => [
  ...(await readdir(join(dir, 'spool'))),
  ...(await readdir(join(dir, 'trees'))),
]

test.each(hostile)(
  '%s is refused as %s, and leaves nothing',
  { timeout: 60_000 },
  async (_, code, bytes) => {
    const problem = await receive(typeof bytes === 'function' ? bytes() : bytes).catch(
      (error: unknown) => error,
    )
    expect(problem).toBeInstanceOf(Problem)
    expect((problem as Problem).code, (problem as Problem).message).toBe(code)
    expect(await left()).toEqual([])
  },
)

test('a refusal names the entry in a form that is safe on a terminal', async () => {
  const bytes = tar(entry({ name: 'a\x1b[31mb', type: '6' }))
  const problem = (await receive(bytes).catch((error: unknown) => error)) as Problem
  expect(problem.facts).toEqual({ type: '6', entry: 0, name: 'a\\u{1b}[31mb' })
  expect(problem.message).toContain('Entry 0 "a\\u{1b}[31mb": ')
})

test.each([...odd, ...foreign])('%s is accepted', async (_, paths, bytes) => {
  const whole = await receive(bytes)
  const tree = await sources.tree(whole.digest)
  expect(tree.entries.map((entry) => entry.path)).toEqual(paths)
  // The same, byte by byte: no rule may depend on where the network cuts.
  if (bytes.length < 5000) expect(await receive(bytes, 1)).toEqual(whole)
})
