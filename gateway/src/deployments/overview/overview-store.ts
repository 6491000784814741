import type { Deployment, DeploymentState } from '#api/deployment.ts'
import type { AppFilter, DeploymentFilter } from '#api/overview/overview.ts'
import type { Queue } from '#api/overview/queue.ts'
import type { QueueLimits } from '../queue.ts'
import type { PageRequest } from '../release-store.ts'

/** In one of several states, too. */
export type RecordFilter = Omit<DeploymentFilter, 'state'> & {
  state?: DeploymentState | readonly DeploymentState[] | undefined
}

/** An app and its newest deployment. */
export type NewestDeployment = { app: string; deployment: Deployment }

/**
 * Lists over all apps. A page looks at a limited number of records, so it may be shorter than its
 * limit, or empty, although there are more: `next` says so.
 */
export interface OverviewStore {
  /** Another text after each change of a record. A line in a log is no change. */
  version(): string
  /** Whom a deployment concerns, without its record, which may be large. A preview's concerns the app that it belongs to. */
  targetOf(id: string): Promise<{ app: string; owner: string | null } | null>
  /** Newest first. */
  deployments(
    filter: RecordFilter,
    page: PageRequest,
  ): Promise<{ deployments: Deployment[]; next: string | null }>
  /** By name. */
  apps(
    filter: AppFilter,
    page: PageRequest,
  ): Promise<{ apps: NewestDeployment[]; next: string | null }>
  /**
   * What has not ended, and what each waits for: those that run first, then the oldest. Without limits
   * no deployment may start.
   */
  queue(
    limits: QueueLimits | null,
    page: Pick<PageRequest, 'limit' | 'isSeen'>,
  ): Promise<Pick<Queue, 'pause' | 'entries' | 'isCut'>>
}
