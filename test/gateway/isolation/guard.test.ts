import { expect, onTestFinished, test } from 'vitest'
import { Problem } from '#api/problem.ts'
import { openLog } from '../../../gateway/src/log.ts'
import { NetworkGuard } from '../../../gateway/src/isolation/guard.ts'

/** A guard whose proofs end as the test says. `daemon` names the daemon that answers. */
function guarded(
  outcomes: ((signal: AbortSignal) => Promise<string>)[],
  daemon: { name: string | null } = { name: 'first' },
) {
  const seen = { proofs: 0, proven: 0 }
  const guard = NetworkGuard.start({
    prove: (signal) => outcomes[seen.proofs++]!(signal),
    daemon: () => daemon.name,
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
