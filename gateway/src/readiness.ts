import { asProblem } from '#api/problem.ts'
import type { Buildkit } from './buildkit/client.ts'
import type { FlyAccess } from '#fly/fly-access.ts'
import type { DiskWatch } from './host/disk/disk-watch.ts'
import type { NetworkGuard } from './isolation/guard.ts'
import type { Planner } from './railpack/plan-request.ts'
import type { IntegrityWatch } from './store/integrity/integrity-watch.ts'

type ReadinessDeps = {
  buildkit: Pick<Buildkit, 'info'>
  planner: () => Promise<Planner>
  network: Pick<NetworkGuard, 'status'>
  disk: Pick<DiskWatch, 'state'>
  integrity: Pick<IntegrityWatch, 'state'>
  fly: Pick<FlyAccess, 'lookWithin'>
}

/** For each part. */
export const probeMs = 5000

/** The gateway asks Fly from its start on, and works without an answer. */
const flyMs = 250

/** Asks the parts whether the gateway can deploy. */
export async function readiness({
  buildkit,
  planner,
  network,
  disk,
  integrity,
  fly,
}: ReadinessDeps) {
  const [builder, plans, { isRefused, ...flyPart }] = await Promise.all([
    probe(buildkit.info(AbortSignal.timeout(probeMs))),
    probe(planner()),
    fly.lookWithin(flyMs),
  ])
  const parts = { buildkit: builder, planner: plans, network: network.status }
  // A full disk does not make the gateway unready: it still answers, and says when to retry an
  // upload. Damaged records do not either: they need a person. Nor does a Fly that does not answer:
  // deployments wait for it.
  return {
    ready: Object.values(parts).every(({ ok }) => ok) && !isRefused,
    parts: { ...parts, fly: flyPart, disk: disk.state(), records: integrity.state() },
  }
}

/** How a part answers. */
export async function probe(
  answer: Promise<{ version: string }>,
): Promise<{ ok: boolean; detail: string }> {
  return answer.then(
    ({ version }) => ({ ok: true, detail: version }),
    (error: unknown) => ({ ok: false, detail: asProblem(error).message }),
  )
}
