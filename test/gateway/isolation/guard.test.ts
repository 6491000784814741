import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { NetworkGuard } from '../../../gateway/src/isolation/guard.ts'
import { ProofNote } from '../../../gateway/src/isolation/proof-note.ts'

const noteIn = (folder: string) => new ProofNote(join(folder, 'isolation.json'))

/** A guard whose proofs end as the test says. `daemon` names the daemon that answers. */
function guarded(
  outcomes: ((signal: AbortSignal) => Promise<string>)[],
  daemon: { name: string | null } = { name: 'first' },
  note = noteIn(mkdtempSync(join(tmpdir(), 'tarmac-guard-'))),
) {
  const seen = { proofs: 0, proven: 0 }
  const guard = NetworkGuard.start({
    prove: (signal) => outcomes[seen.proofs++]!(signal),
    daemon: () => daemon.name,
    earlier: (name) => note.read(name),
    proven: (name, detail) => note.write(name, detail),
    failed: () => note.remove(),
    log: openLog('silent'),
  })
  guard.onOpen(() => void seen.proven++)
  onTestFinished(() => guard[Symbol.asyncDispose]())
  return { guard, seen, daemon }
}
const passes = () => Promise.resolve('nothing reached')
const fails = () => Promise.reject(new Problem('not-ready', 'a build step reaches 10.0.0.1'))
const never = (signal: AbortSignal) =>
  new Promise<string>((_, reject) =>
    signal.addEventListener('abort', () => reject(new Error('stopped'))),
  )

test('nothing is accepted before the first proof', () => {
  const { guard } = guarded([never])
  expect(guard.status.ok).toBe(false)
  expect(() => guard.assertAccepting()).toThrow(expect.objectContaining({ code: 'not-ready' }))
})

test('after the proof builds run, and waiting callers are notified', async () => {
  const { guard, seen } = guarded([passes])
  await guard.proven(AbortSignal.timeout(1000))
  expect(guard.status).toEqual({ ok: true, detail: 'nothing reached' })
  expect(seen).toEqual({ proofs: 1, proven: 1 })
})

test('a failed proof names what was reached, and is retried', async () => {
  const { guard } = guarded([fails, passes])
  await expect(guard.proven(AbortSignal.timeout(1000))).rejects.toThrow(/reaches 10\.0\.0\.1/)
  expect(() => guard.assertAccepting()).toThrow(/reaches 10\.0\.0\.1/)
  await expect.poll(() => guard.status.ok, { timeout: 4000 }).toBe(true)
})

test('a daemon that replaced the proven one is proven first', async () => {
  const { guard, seen, daemon } = guarded([passes, passes])
  await guard.proven(AbortSignal.timeout(1000))
  daemon.name = 'second'
  expect(guard.status.ok).toBe(false)
  guard.assertAccepting() // new deployments wait in the queue meanwhile
  await guard.proven(AbortSignal.timeout(1000))
  expect(seen.proofs).toBe(2)
})

test('a daemon that is unavailable after its proof is distinguished from broken isolation', async () => {
  const unavailable = () => Promise.reject(new Problem('buildkit-unavailable', 'no answer'))
  const { guard, daemon } = guarded([passes, unavailable, fails, never])
  await guard.proven(AbortSignal.timeout(1000))
  daemon.name = null
  await expect(guard.proven(AbortSignal.timeout(1000))).rejects.toMatchObject({
    code: 'buildkit-unavailable',
  })

  guard.assertAccepting()
  daemon.name = 'second'
  await expect(guard.proven(AbortSignal.timeout(1000))).rejects.toMatchObject({ code: 'not-ready' })
  expect(() => guard.assertAccepting()).toThrow(Problem)
})

test('a daemon that is replaced during its proof does not count as proven', async () => {
  const daemon: { name: string | null } = { name: 'first' }
  const { guard } = guarded([() => ((daemon.name = 'second'), passes()), never], daemon)
  await expect(guard.proven(AbortSignal.timeout(1000))).rejects.toThrow(Problem)
})

test('a caller can stop waiting for a proof', async () => {
  const { guard } = guarded([never])
  await expect(guard.proven(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
})

test('the next gateway on the same daemon is ready at once, and builds only after a proof of its own', async () => {
  const note = noteIn(mkdtempSync(join(tmpdir(), 'tarmac-guard-')))
  const before = guarded([passes], { name: 'first' }, note)
  await before.guard.proven(AbortSignal.timeout(1000))

  const proof = Promise.withResolvers<string>()
  const { guard, seen } = guarded([() => proof.promise], { name: 'first' }, note)
  expect(guard.status).toMatchObject({ ok: true, detail: expect.stringContaining('looking again') })
  guard.assertAccepting()
  const mayBuild = guard.proven(AbortSignal.timeout(5000))
  expect(seen).toEqual({ proofs: 1, proven: 0 })
  proof.resolve('nothing reached')
  await mayBuild
  expect(guard.status.detail).toBe('nothing reached')

  expect(guarded([never], { name: 'second' }, note).guard.status.ok).toBe(false)
})

test('a proof that fails after a restart ends the readiness, also that of the next start', async () => {
  const note = noteIn(mkdtempSync(join(tmpdir(), 'tarmac-guard-')))
  note.write('first', 'nothing reached')
  const { guard } = guarded([fails, never], { name: 'first' }, note)
  expect(guard.status.ok).toBe(true)
  await expect(guard.proven(AbortSignal.timeout(1000))).rejects.toThrow(/reaches 10\.0\.0\.1/)
  expect(guard.status.ok).toBe(false)
  expect(guarded([never], { name: 'first' }, note).guard.status.ok).toBe(false)
})

test('a damaged note is no proof', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tarmac-guard-'))
  writeFileSync(join(folder, 'isolation.json'), '{"circumstances":"first"')
  expect(guarded([never], { name: 'first' }, noteIn(folder)).guard.status.ok).toBe(false)
})
