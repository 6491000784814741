import { Problem } from '#api/problem.ts'
import { leaseMs, type Claim, type DeploymentStore } from '../../deployments/store.ts'
import type { Logger } from '../../log.ts'

/** Renews the lease of a running deployment until disposed. Stops it when the lease is lost. */
export function keepLease(
  { deployment: { id }, epoch }: Claim,
  {
    store,
    log,
    everyMs,
  }: { store: Pick<DeploymentStore, 'renew'>; log: Logger; everyMs: number | undefined },
  stop: AbortController,
): Disposable {
  const renewing = setInterval(
    () => {
      void store.renew({ id, epoch }).then(
        (held) => held || stop.abort(new Problem('internal', 'Another gateway works on this now.')),
        (err: unknown) => log.error({ err }, 'lease could not be renewed'),
      )
    },
    everyMs ?? leaseMs / 3,
  )
  return { [Symbol.dispose]: () => clearInterval(renewing) }
}
