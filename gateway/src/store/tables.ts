import type { DatabaseSync } from 'node:sqlite'
import { StepTimeRows } from './build/step-time-rows.ts'
import { RuleRows } from './callers/rule-rows.ts'
import { QuotaRows } from './callers/quota-rows.ts'
import { RouterRows } from './router/router-rows.ts'
import { TeamRows } from './callers/team-rows.ts'
import { SessionRows } from './callers/session-rows.ts'
import { TokenRows } from './callers/token-rows.ts'
import { Notices } from './notices.ts'
import { RegistryRows } from './registries/registry-rows.ts'
import { OwnerAppRows } from './owners/owner-app-rows.ts'
import { TemplateRows } from './previews/template-rows.ts'
import { PoolRows } from './previews/pool-rows.ts'
import { PreviewRows } from './previews/preview-rows.ts'
import { OwnerRows } from './owners/owner-rows.ts'
import { AppRows } from './rows/app-rows.ts'
import { CacheRows } from './rows/cache-rows.ts'
import { CostRows } from './rows/cost-rows.ts'
import { CrashRows } from './rows/crash-rows.ts'
import { DeploymentRows } from './rows/deployment-rows.ts'
import { EventRows } from './rows/event-rows.ts'
import { LaneRows } from './rows/lane-rows.ts'
import { QueueRows } from './rows/queue-rows.ts'
import { ReleaseRows } from './rows/release-rows.ts'
import { RolloutRows } from './rows/rollout-rows.ts'
import { SecretRows } from './rows/secret-rows.ts'
import { SourceRows } from './rows/source-rows.ts'
import { SuspectRows } from './rows/suspect-rows.ts'
import { SentTreeRows } from './sources/sent-tree-rows.ts'
import { RuntimeSecretRows } from './runtime/runtime-secret-rows.ts'
import { SealedRows } from './sealing/sealed-rows.ts'
import type { StoreSettings, StoreTools } from './store-tools.ts'
import { DiskRows } from './status/disk-rows.ts'
import { RemovalRows } from './status/removal-rows.ts'
import { DriftRows } from './drift/drift-rows.ts'
import { AuditRows } from './audit/audit-rows.ts'
import { openTrail } from './audit/open-trail.ts'

export type Tables = ReturnType<typeof openTables>

/** All tables of the store. */
export function openTables(
  db: DatabaseSync,
  tools: StoreTools,
  settings: Pick<StoreSettings, 'quotas' | 'owners'>,
) {
  const notices = new Notices()
  const previews = new PreviewRows(db, tools, notices)
  const teams = new TeamRows(db, tools, previews)
  const quotas = new QuotaRows(db, tools, { teams, previews }, settings.quotas)
  const [apps, secrets] = [new AppRows(db, notices), new SecretRows(db)]
  const queue = new QueueRows(db, { teams, quotas })
  const events = new EventRows(db, notices)
  const crashes = new CrashRows(db, tools, events)
  const ownerApps = new OwnerAppRows(db, tools, settings.owners)
  const releases = new ReleaseRows(db, tools, { notices, crashes, ownerApps })
  const costs = new CostRows(db, tools)
  const others = { events, secrets, releases, notices, costs, quotas, previews }
  const deployments = new DeploymentRows(db, others, tools.time)
  const lanes = new LaneRows(deployments)
  const suspects = new SuspectRows(db, deployments)
  const rollouts = new RolloutRows(db, tools, { suspects, notices })
  const sentTrees = new SentTreeRows(db, tools)
  const sources = new SourceRows(db, sentTrees)
  return {
    tools,
    notices,
    teams,
    quotas,
    previews,
    pools: new PoolRows(db, tools, { notices, previews }),
    templates: new TemplateRows(db, tools),
    ownerApps,
    apps,
    costs,
    disk: new DiskRows(db),
    removals: new RemovalRows(db),
    secrets,
    queue,
    events,
    releases,
    deployments,
    owners: new OwnerRows(db, tools, { crashes, deployments, ownerApps }),
    lanes,
    suspects,
    rollouts,
    sources,
    sentTrees,
    caches: new CacheRows(db, tools),
    stepTimes: new StepTimeRows(db, tools),
    routers: new RouterRows(db, tools),
    registries: new RegistryRows(db, tools, secrets),
    sealed: new SealedRows(db, tools),
    ...callerTables(db, tools),
    runtimeSecrets: new RuntimeSecretRows(db, tools),
    drift: new DriftRows(db, tools, { events, crashes, ownerApps }),
  }
}

/** Who may call, and what callers did. */
const callerTables = (db: DatabaseSync, tools: StoreTools) => ({
  rules: new RuleRows(db, tools),
  tokens: new TokenRows(db, tools),
  sessions: new SessionRows(db, tools),
  openTrail: (volume: Parameters<typeof openTrail>[1]) =>
    openTrail({ rows: new AuditRows(db), tools }, volume),
})
