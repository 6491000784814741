import { openOverviewStore } from '../overview/open-overview-store.ts'
import { openQueueControl } from '../overview/open-queue-control.ts'
import { openStatusStore } from '../rows/open-status-store.ts'
import type { Tables } from '../tables.ts'

/** The parts of the store that have an interface of their own. */
export class SqliteParts {
  readonly releases
  readonly rollouts
  readonly caches
  readonly stepTimes
  readonly tokens
  readonly sessions
  readonly openTrail
  readonly rules
  readonly runtimeSecrets
  readonly drift
  readonly queueControl
  readonly status
  readonly teams
  readonly quotas
  readonly overview
  readonly registries
  readonly sealed
  readonly previews
  readonly templates
  readonly ownerApps
  readonly pools
  readonly owners
  readonly routers
  readonly sentTrees

  constructor(tables: Tables) {
    this.releases = tables.releases
    this.rollouts = tables.rollouts
    this.caches = tables.caches
    this.stepTimes = tables.stepTimes
    this.tokens = tables.tokens
    this.sessions = tables.sessions
    this.openTrail = tables.openTrail
    this.rules = tables.rules
    this.runtimeSecrets = tables.runtimeSecrets
    this.drift = tables.drift
    this.queueControl = openQueueControl(tables)
    this.status = openStatusStore(tables)
    this.teams = tables.teams
    this.quotas = tables.quotas
    this.registries = tables.registries
    this.sealed = tables.sealed
    this.previews = tables.previews
    this.templates = tables.templates
    this.ownerApps = tables.ownerApps
    this.pools = tables.pools
    this.owners = tables.owners
    this.routers = tables.routers
    this.sentTrees = tables.sentTrees
    this.overview = openOverviewStore(tables)
  }
}
