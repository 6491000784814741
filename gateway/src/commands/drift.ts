import { Problem } from '#api/problem.ts'
import type { DriftReport } from '#api/release.ts'
import { machineDrift } from '../deploy/machines/drift.ts'
import { isPublic } from '../deploy/public-ips.ts'
import type { ReleaseStore } from '../deployments/release-store.ts'
import type { MachinesApi } from '../fly/machines-api.ts'

/** Lists what an app exposes, and how its machines differ from their newest release. */
export async function driftOf(
  app: string,
  { fly, releases }: { fly: MachinesApi; releases: ReleaseStore },
  signal: AbortSignal,
): Promise<DriftReport> {
  const found = await fly.app(app, signal)
  if (!found) throw new Problem('app-not-found', `There is no app ${app} on Fly.`)

  const [ips, machines, newest, made] = await Promise.all([
    fly.ipAssignments(app, signal),
    fly.machines(app, signal),
    releases.newest(app),
    releases.isOwnApp(app, found.id ?? null),
  ])
  return {
    app,
    made,
    ips: ips.map(({ ip }) => ({ ip, public: isPublic(ip) })),
    ...machineDrift(machines, newest),
  }
}
