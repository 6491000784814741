import type { Queue } from '#api/overview/queue.ts'
import type { CacheStatus } from '#api/status/cache.ts'
import type { IsSeen } from './row.ts'

/** What the apps that a caller sees have of the build cache. */
export function cacheOf({ apps, ...usage }: CacheStatus, isSeen: IsSeen): CacheStatus {
  return { ...usage, apps: apps.filter(({ app }) => app !== null && isSeen({ app })) }
}

/** Which of the gateway's slots are used says something of other callers' apps. */
export function ownQueue(
  { slots: { builds, deploys }, entries, isCut }: Queue,
  isSeen: IsSeen,
): Queue {
  return {
    slots: { builds: { ...builds, used: null }, deploys: { ...deploys, used: null } },
    entries: entries.filter(isSeen),
    isCut,
  }
}
