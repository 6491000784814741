import type { Queue } from '#api/overview/queue.ts'
import type { CacheStatus } from '#api/status/cache.ts'
import type { Principal } from '../../callers/principal.ts'
import type { IsSeen } from './row.ts'

/** What the apps that a caller sees have of the build cache. */
export function cacheOf({ apps, ...usage }: CacheStatus, isSeen: IsSeen): CacheStatus {
  return { ...usage, apps: apps.filter(({ app }) => app !== null && isSeen({ app })) }
}

/** Which of the gateway's slots are used, and what other teams have, is not for a limited caller. */
export function ownQueue(
  { slots: { builds, deploys }, teams, entries, ...queue }: Queue,
  isSeen: IsSeen,
  { caller }: { caller: Principal },
): Queue {
  const isWholeTeam = caller.apps === null && caller.owners === null
  return {
    ...queue,
    slots: { builds: { ...builds, used: null }, deploys: { ...deploys, used: null } },
    teams: teams.filter(({ team }) => isWholeTeam && caller.teams?.includes(team)),
    entries: entries.filter(isSeen),
  }
}
