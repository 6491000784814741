import { Problem } from '#api/problem.ts'
import type { DriftReport } from '#api/release.ts'
import { machineDrift } from '../deploy/machines/drift.ts'
import { noteCrashes } from '../deploy/release-health/note-crashes.ts'
import { isPublic } from '../deploy/public-ips.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { NewestRelease } from '../deployments/release-store.ts'
import type { Machine } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Logger } from '../log.ts'

type DriftDeps = {
  fly: MachinesApi
  store: Pick<DeploymentStore, 'releases' | 'find'>
  log: Pick<Logger, 'warn'>
}

/**
 * Lists what an app exposes, how its machines differ from their newest release, and which of these
 * releases are degraded.
 */
export async function driftOf(
  app: string,
  { fly, store, log }: DriftDeps,
  signal: AbortSignal,
): Promise<DriftReport> {
  const { releases } = store
  const found = await fly.app(app, signal)
  if (!found) throw new Problem('app-not-found', `There is no app ${app} on Fly.`)

  const [ips, machines, newest, made] = await Promise.all([
    fly.ipAssignments(app, signal),
    fly.machines(app, signal),
    releases.newest(app),
    releases.isOwnApp(app, found.id ?? null),
  ])
  await noteCrashes(app, machines, { releases, log })
  const now = await releases.newestFacts(app)
  return {
    app,
    made,
    ips: ips.map(({ ip }) => ({ ip, public: isPublic(ip) })),
    ...machineDrift(machines, newest),
    degraded: now.flatMap(({ owner, number, deployment, crashes }) => {
      const open = crashes.filter(({ endedAt }) => endedAt === null)
      return open.length > 0 ? [{ owner, release: number, deployment, crashes: open }] : []
    }),
    missing: (await Promise.all(now.map((each) => missingOf(each, machines, store)))).flat(),
  }
}

/** The machines on which a release was verified and that are gone. */
async function missingOf(
  { owner, number, deployment }: NewestRelease,
  machines: Machine[],
  store: Pick<DeploymentStore, 'find'>,
): Promise<DriftReport['missing']> {
  const made = await store.find(deployment)
  const verified = made?.machines.filter(({ outcome }) => outcome === 'verified') ?? []
  return verified
    .filter(({ id }) => !machines.some((machine) => machine.id === id))
    .map(({ id }) => ({ machine: id, owner, release: number }))
}
