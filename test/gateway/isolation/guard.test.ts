import { expect, onTestFinished, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { NetworkGuard } from '../../../gateway/src/isolation/guard.ts'

/** A guard whose proofs end as the test says; `daemon` is who is there. */
function guarded(
  outcomes: ((signal: AbortSignal) => Promise<string>)[],
  daemon: { name: string | null } = { name: 'first' },
) {
  const seen = { proofs: 0, proven: 0 }
  const guard = NetworkGuard.start({
    prove: (signal) => outcomes[seen.proofs++]!(signal),
    daemon: () => daemon.name,
    onProven: () => void seen.proven++,
    log: openLog('silent'),
  })
  onTestFinished(() => guard[Symbol.asyncDispose]())
  return { guard, seen, daemon }
}
const passes = () => Promise.resolve('nothing reached')
const fails = () => Promise.reject(new Problem('not-ready', 'a build step reaches 10.0.0.1'))
const never = (signal: AbortSignal) =>
  new Promise<string>((_, reject) =>
    signal.addEventListener('abort', () => reject(new Error('stopped'))),
  )

test('nothing is let through before the first proof', () => {
  const { guard } = guarded([never])
  expect(guard.status.ok).toBe(false)
  expect(() => guard.assertAccepting()).toThrow(expect.objectContaining({ code: 'not-ready' }))
})

test('after the proof builds run, and whoever waits is told', async () => {
  const { guard, seen } = guarded([passes])
  await guard.proven(AbortSignal.timeout(1000))
  expect(guard.status).toEqual({ ok: true, detail: 'nothing reached' })
  expect(seen).toEqual({ proofs: 1, proven: 1 })
})

test('a failed proof says what was reached, and is tried again', async () => {
  const { guard } = guarded([fails, passes])
  await expect(guard.proven(AbortSignal.timeout(1000))).rejects.toThrow(/reaches 10\.0\.0\.1/)
  expect(() => guard.assertAccepting()).toThrow(/reaches 10\.0\.0\.1/)
  await expect.poll(() => guard.status.ok, { timeout: 4000 }).toBe(true)
})

test('a daemon that took the place of the proven one is proven itself first', async () => {
  const { guard, seen, daemon } = guarded([passes, passes])
  await guard.proven(AbortSignal.timeout(1000))
  daemon.name = 'second'
  expect(guard.status.ok).toBe(false)
  guard.assertAccepting() // what is sent meanwhile waits in the queue
  await guard.proven(AbortSignal.timeout(1000))
  expect(seen.proofs).toBe(2)
})

test('a daemon that is away after its proof is told apart from walls with a hole', async () => {
  const away = () => Promise.reject(new Problem('buildkit-unavailable', 'no answer'))
  const { guard, daemon } = guarded([passes, away, fails, never])
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

test('a daemon that is replaced while it is proven is not taken for proven', async () => {
  const daemon: { name: string | null } = { name: 'first' }
  const { guard } = guarded([() => ((daemon.name = 'second'), passes()), never], daemon)
  await expect(guard.proven(AbortSignal.timeout(1000))).rejects.toThrow(Problem)
})

test('whoever waits for a proof can stop waiting', async () => {
  const { guard } = guarded([never])
  await expect(guard.proven(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
})
