import type { OwnSettings } from '#api/options/app-settings.ts'
import type { Whoami } from '#api/callers/whoami.ts'
import type { AuditFilter, AuditPage } from '#api/callers/audit.ts'
import type { NewCancelRequest, Deployment, SourceFacts } from '#api/deployment.ts'
import type { DoctorAnswer, DoctorRequest } from '#api/doctor/report.ts'
import type { ImageLayers } from '#api/image/layers.ts'
import type { ImageSource } from '#api/image-source.ts'
import type { DeploymentOptions } from '#api/options.ts'
import type { Release, ReleaseDiff } from '#api/release.ts'
import type { BuildSecretsAnswer } from '#api/runtime/secrets.ts'
import type { NewRollout, Rollout, RolloutPage, RolloutTarget } from '#api/rollout.ts'
import type { SecretFacts } from '#api/secret.ts'
import type { CacheStatus, RemovedCache } from '#api/status/cache.ts'
import type { SentSource } from '#api/sources/sent-source.ts'
import type { RestoreFacts } from '#api/status/backup.ts'
import type { DrainFacts } from '#api/status/drain.ts'
import type { DiskHistory } from '#api/status/disk/disk-history.ts'
import type { Removals } from '#api/status/disk/removals.ts'
import type { GatewayStatus } from '#api/status/status.ts'
import type { PageRequest } from '../deployments/release-store.ts'
import type { RolloutRequest } from '../deployments/rollout-store.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { Copy, Incoming } from '../store/copies/copies.ts'
import type { Principal } from '../callers/principal.ts'
import type { DeleteRequest } from './delete-app.ts'
import type { DriftCommands } from './drift/drift-commands.ts'
import type { LimitCommands } from './limits/open-limits.ts'
import type { MachineCommands } from './machines/machine-commands.ts'
import type { OwnerCommands } from './owners/owner-commands.ts'
import type { OverviewCommands } from './overview/overview-commands.ts'
import type { QueueCommands } from './queue/queue-commands.ts'
import type { RegistryCommands } from './registries/registry-commands.ts'
import type { Rollback } from './rollback.ts'
import type { PoolCommands } from './pools/pool-commands.ts'
import type { PreviewCommands } from './previews/preview-commands.ts'
import type { RetryHow } from './retry.ts'
import type { RouterCommands } from './router/router-commands.ts'
import type { RuleCommands } from './rules/rule-commands.ts'
import type { SessionCommands } from './sessions/session-commands.ts'
import type { TeamCommands } from './teams/team-commands.ts'
import type { TokenCommands } from './tokens/token-commands.ts'
import type { TemplateCommands } from './templates/template-commands.ts'
import type { RuntimeCommands } from './runtime/runtime-commands.ts'
import type { SourceCommands } from './sources/source-commands.ts'
import type { TreeCommands } from './trees/tree-commands.ts'
import type { UploadCommands } from './uploads/upload-commands.ts'

type Target = { app: string; owner: string | null }

/**
 * Everything that a person or a program can ask of the gateway: HTTP uses nothing else. Each
 * command takes its caller first. A refusal is a Problem.
 */
export type Commands = {
  /** Creates the record. From then on the deployment runs, whether or not the caller stays. */
  submit(
    caller: Principal,
    submission: {
      app: string
      options: DeploymentOptions
      source: SourceFacts
      secrets: ReadonlyMap<string, Uint8Array>
      idempotencyKey: string | null
    },
  ): Promise<Deployment>
  /** Deploys a source that the caller has sent before, with the same answer for the same key. */
  deploySent(
    caller: Principal,
    submission: {
      app: string
      options: DeploymentOptions
      source: SentSource
      secrets: ReadonlyMap<string, Uint8Array>
      idempotencyKey: string | null
    },
  ): Promise<Deployment>
  /** Deploys an existing image. `requestBody` distinguishes requests with the same idempotency key. */
  deployExisting(
    caller: Principal,
    source: ImageSource,
    target: {
      app: string
      options: DeploymentOptions
      idempotencyKey: string | null
      requestBody: unknown
    },
  ): Promise<Deployment>
  rollback(caller: Principal, request: Rollback): Promise<Deployment>
  /** Creates a deployment from an earlier one's source or image. */
  retry(
    caller: Principal,
    id: string,
    more: RetryHow & { idempotencyKey: string | null },
  ): Promise<Deployment>
  /** Cancels a deployment. The returned record may not be `cancelled` yet. */
  cancel(caller: Principal, id: string, request: NewCancelRequest): Promise<Deployment>
  /** Throws a Problem if the lane of such a deployment takes none now. */
  refuseBusyLane(
    caller: Principal,
    announced: Parameters<DeploymentStore['refuseBusyLane']>[0],
  ): Promise<void>
  deployment(caller: Principal, id: string): Promise<Deployment>
  /** A deployment whose log is kept. */
  logOf(caller: Principal, id: string): Promise<Deployment>
  /** What its image is made of. Asks the registry. */
  imageLayers(caller: Principal, id: string): Promise<ImageLayers>
  deployments(
    caller: Principal,
    app: string,
    page: PageRequest & { key?: string | null },
  ): ReturnType<DeploymentStore['list']>

  releases(
    caller: Principal,
    target: Target,
    page: PageRequest,
  ): Promise<{ releases: Release[]; next: string | null }>
  release(caller: Principal, target: Target, number: number): Promise<Release>
  releaseDiff(caller: Principal, target: Target, from: number, to: number): Promise<ReleaseDiff>

  /** The gateway and its machine: versions, queue, disk, cost and so on. */
  status(caller: Principal): Promise<GatewayStatus>
  /** What was on the disk of the build cache in the last 14 days. */
  diskHistory(caller: Principal): Promise<DiskHistory>
  /** What was removed from the disk of the builder, and why. */
  removals(caller: Principal): Promise<Removals>
  /** Tries what only the machine and Fly can settle, and makes the files of a support bundle. */
  doctor(caller: Principal, request: DoctorRequest): Promise<DoctorAnswer>
  machines: MachineCommands
  owners: OwnerCommands
  overview: OverviewCommands
  queue: QueueCommands
  drift: DriftCommands
  /** Deletes an app, and the apps of its owners. */
  deleteApp(caller: Principal, app: string, request: DeleteRequest): Promise<void>
  /** The build cache by app, at most a minute old. */
  cacheUsage(caller: Principal): Promise<CacheStatus>
  /**
   * Removes what one app alone has in the build cache. Its next build uses nothing cached. A build
   * that runs goes on.
   */
  removeCache(caller: Principal, app: string): Promise<RemovedCache>
  settings(caller: Principal, app: string): Promise<OwnSettings>
  changeSettings(caller: Principal, app: string, patch: unknown): Promise<OwnSettings>

  /** Build secrets, stored per app. No command returns their values. */
  secrets(caller: Principal, app: string): Promise<SecretFacts[]>
  putSecret(caller: Principal, app: string, name: string, value: Uint8Array): Promise<SecretFacts>
  /** Throws a Problem if the app has no secret of that name. */
  deleteSecret(caller: Principal, app: string, name: string): Promise<void>

  tokens: TokenCommands
  sessions: SessionCommands
  /** Several build secrets at once: all of the change, or none of it. */
  changeBuildSecrets(
    caller: Principal,
    app: string,
    values: ReadonlyMap<string, string | null>,
  ): Promise<BuildSecretsAnswer>

  /** Secrets and variables of the app's machines. */
  runtime: RuntimeCommands

  /** Empties the gateway before it is replaced. While it drains, commands that make work refuse. */
  drain: {
    start(caller: Principal, limitMs: number): Promise<DrainFacts>
    status(caller: Principal): Promise<DrainFacts>
    end(caller: Principal): Promise<DrainFacts>
  }

  /** The records of this gateway as a file. A restore needs a drained gateway, and restarts it. */
  records: {
    backup(caller: Principal): Promise<Copy>
    /** Throws `not-drained`. */
    assertDrained(caller: Principal): Promise<void>
    restore(caller: Principal, incoming: Incoming): Promise<RestoreFacts>
  }

  /** Who the caller is, for any caller. */
  whoami(caller: Principal): Promise<Whoami>
  sourceFiles: SourceCommands
  uploads: UploadCommands
  trees: TreeCommands
  previews: PreviewCommands
  templates: TemplateCommands
  pools: PoolCommands
  router: RouterCommands
  rules: RuleCommands
  registries: RegistryCommands
  teams: TeamCommands
  limits: LimitCommands
  /** The audit trail, newest first. A limited caller sees what concerns its apps alone. */
  audit: {
    list(caller: Principal, filter: AuditFilter, page: PageRequest): Promise<AuditPage>
  }

  /** Throws a Problem unless the caller may deploy to all these targets. */
  assertMayRollOut(caller: Principal, targets: readonly RolloutTarget[]): Promise<void>
  createRollout(
    caller: Principal,
    rollout: NewRollout,
    build: string | null,
    request: RolloutRequest,
  ): Promise<Rollout>
  rollout(caller: Principal, id: string): Promise<Rollout>
  rollouts(caller: Principal, page: PageRequest): Promise<RolloutPage>
  cancelRollout(caller: Principal, id: string, request: NewCancelRequest): Promise<Rollout>
}
