import type { Deployment } from '#api/deployment.ts'
import { releaseStateOf } from '#api/deployment.ts'
import type { AppFilter, AppPage, AppSummary } from '#api/overview/overview.ts'
import type { Queue, TeamShare } from '#api/overview/queue.ts'
import type { Principal } from '../../callers/principal.ts'
import type { NewestDeployment, RecordFilter } from '../../deployments/overview/overview-store.ts'
import type { QueueLimits } from '../../deployments/queue.ts'
import { touchesMachines } from '../../deployments/states.ts'
import type { PageRequest } from '../../deployments/release-store.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import { seenBy } from '../access/seen-by.ts'

/** Lists over all apps. A page may be shorter than its limit, or empty: `next` says whether there is more. */
export type OverviewCommands = {
  /** Newest first. */
  deployments(
    caller: Principal,
    filter: RecordFilter,
    page: PageRequest,
  ): Promise<{ deployments: Deployment[]; next: string | null }>
  /** By name. */
  apps(caller: Principal, filter: AppFilter, page: PageRequest): Promise<AppPage>
  /** What has not ended, and what each waits for. */
  queue(caller: Principal): Promise<Queue>
}

export type OverviewDeps = {
  store: Pick<DeploymentStore, 'overview' | 'releases' | 'teams' | 'quotas' | 'status'>
  queueLimits: QueueLimits
  /** Whether queued deployments may start. */
  mayStart: () => boolean
}

const queueShown = 200

export const overviewCommands = ({
  store,
  queueLimits,
  mayStart,
}: OverviewDeps): OverviewCommands => ({
  deployments: (caller, filter, page) =>
    store.overview.deployments(filter, { ...page, isSeen: seenBy(caller, store.teams) }),
  async apps(caller, filter, page) {
    const isSeen = seenBy(caller, store.teams)
    const { apps, next } = await store.overview.apps(filter, { ...page, isSeen })
    return { apps: await Promise.all(apps.map((each) => summaryOf(each, store, isSeen))), next }
  },
  async queue(caller) {
    const page = { limit: queueShown, isSeen: seenBy(caller, store.teams) }
    const found = await store.overview.queue(mayStart() ? queueLimits : null, page)
    return { ...found, slots: await slotsOf(store, queueLimits), teams: await sharesOf(store) }
  },
})

async function slotsOf(
  { status }: Pick<DeploymentStore, 'status'>,
  { builds, deploys }: QueueLimits,
): Promise<Queue['slots']> {
  const running = (await status.unfinishedByState()).filter(({ state }) => state !== 'pending')
  const sum = (counts: typeof running) => counts.reduce((all, { count }) => all + count, 0)
  const atMachines = sum(running.filter(({ state }) => touchesMachines(state)))
  return {
    builds: { limit: builds, used: sum(running) - atMachines },
    deploys: { limit: deploys, used: atMachines },
  }
}

/** Previews count for the team of the app that they belong to. */
async function sharesOf({ status, teams, quotas }: OverviewDeps['store']): Promise<TeamShare[]> {
  if (teams.isAlone) return []
  const counts = await status.unfinishedByTarget()
  const byTeam = Map.groupBy(counts, ({ app }) => teams.teamOf(app))
  const sum = (of: typeof counts) => of.reduce((all, { count }) => all + count, 0)
  return [...byTeam]
    .map(([team, all]) => {
      const waiting = sum(all.filter(({ state }) => state === 'pending'))
      const atMachines = sum(all.filter(({ state }) => touchesMachines(state)))
      const building = sum(all) - waiting - atMachines
      return { team, building, atMachines, waiting, buildLimit: quotas.limitOf(team, 'builds') }
    })
    .toSorted((a, b) => a.team.localeCompare(b.team, 'en'))
}

async function summaryOf(
  { app, deployment }: NewestDeployment,
  { releases }: Pick<DeploymentStore, 'releases'>,
  isSeen: PageRequest['isSeen'] = () => true,
): Promise<AppSummary> {
  const { id, number, owner, state, createdAt, url } = deployment
  const all = await releases.newestFacts(app)
  const newest = all.filter((release) => isSeen({ app, owner: release.owner }))
  const own = newest.find((release) => release.owner === null)
  return {
    app,
    deployment: { id, number, owner, state, createdAt, url },
    release: own
      ? { number: own.number, state: releaseStateOf(own.crashes), createdAt: own.createdAt }
      : null,
    owners: newest.length - (own ? 1 : 0),
  }
}
