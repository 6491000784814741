import type { CacheStore } from '../app/cache-store.ts'
import type { StepTimeStore } from '../build/step-time-store.ts'
import type { RuleStore } from '../callers/rule-store.ts'
import type { SessionStore } from '../callers/session-store.ts'
import type { TokenStore } from '../callers/token-store.ts'
import type { DriftStore } from '../drift/drift-store.ts'
import type { OwnerAppStore } from '../owners/owner-app-store.ts'
import type { OverviewStore } from '../overview/overview-store.ts'
import type { QueueControl } from '../overview/queue-control.ts'
import type { RegistryStore } from '../registries/registry-store.ts'
import type { OwnerStore } from '../owners/owner-store.ts'
import type { TemplateStore } from '../previews/template-store.ts'
import type { PoolStore } from '../previews/pool-store.ts'
import type { PreviewStore } from '../previews/preview-store.ts'
import type { ReleaseStore } from '../release-store.ts'
import type { RouterStore } from '../router/router-store.ts'
import type { RolloutStore } from '../rollout-store.ts'
import type { RuntimeSecretStore } from '../runtime/runtime-secret-store.ts'
import type { SealedStore } from '../sealing/sealed-store.ts'
import type { SentTreeStore } from '../sources/sent-tree-store.ts'
import type { StatusStore } from '../status/status-store.ts'
import type { TeamStore, QuotaStore } from '../teams/team-store.ts'

/** The parts of a store with an interface of their own. */
export interface StoreParts {
  readonly releases: ReleaseStore
  readonly rollouts: RolloutStore
  readonly caches: CacheStore
  readonly stepTimes: StepTimeStore
  readonly tokens: TokenStore
  readonly sessions: SessionStore
  readonly rules: RuleStore
  readonly runtimeSecrets: RuntimeSecretStore
  readonly drift: DriftStore
  readonly overview: OverviewStore
  readonly queueControl: QueueControl
  readonly status: StatusStore
  readonly teams: TeamStore
  readonly quotas: QuotaStore
  readonly registries: RegistryStore
  readonly sealed: SealedStore
  readonly previews: PreviewStore
  readonly templates: TemplateStore
  readonly ownerApps: OwnerAppStore
  readonly pools: PoolStore
  readonly owners: OwnerStore
  readonly routers: RouterStore
  readonly sentTrees: SentTreeStore
}
