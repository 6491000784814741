import type { GatewayLimit } from '#api/callers/limits.ts'
import type { NewCancelRequest } from '#api/deployment.ts'
import type { DoctorAnswer, DoctorRequest } from '#api/doctor/report.ts'
import type { Admission } from '../callers/admission.ts'
import type { BuildCache } from '../buildkit/cache/build-cache.ts'
import type { Deployer } from '../deploy/deployer.ts'
import type { Principal } from '../callers/principal.ts'
import type { AuditTrail } from '../deployments/audit/audit-trail.ts'
import { findRelease } from '../deployments/release-store.ts'
import { diskSampleMs } from '../deployments/status/status-store.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Logger } from '../log.ts'
import type { PlanCache } from '../railpack/plan-cache.ts'
import type { LoginTester } from '../registries/login-tester.ts'
import type { Registries } from '../registries/registries.ts'
import type { Vault } from '../secrets/vault.ts'
import { seenBy } from './access/seen-by.ts'
import { deleteAppAndCache, removeCacheOf } from './app/app-cache.ts'
import { appSettings } from './app-settings.ts'
import type { Copies } from '../store/copies/copies.ts'
import type { Commands } from './commands.ts'
import { assertKnownNames } from './audit/known-names.ts'
import { findDeployment, findLog } from './deployments.ts'
import type { DeleteDeps } from './delete-app.ts'
import type { Drain } from './drain.ts'
import { driftCommands } from './drift/drift-commands.ts'
import { imageLayers, type ImageLayersDeps } from './image-layers.ts'
import { machineCommands, type MachineDeps } from './machines/machine-commands.ts'
import { openOwners } from './owners/open-owners.ts'
import { type OverviewDeps, overviewCommands } from './overview/overview-commands.ts'
import { queueCommands } from './queue/queue-commands.ts'
import { releaseDiff, releaseView } from './releases.ts'
import { rollback } from './rollback.ts'
import type { Rollouts } from './rollouts.ts'
import { gatewayStatus, type StatusDeps } from './status.ts'
import { openRegistries } from './registries/open-registries.ts'
import type { RuleCommands } from './rules/rule-commands.ts'
import { cachePercentOf } from './limits/cache-percent.ts'
import { openLimits } from './limits/open-limits.ts'
import { openTemplates, type TemplateDeps } from './templates/open-templates.ts'
import { openTeams } from './teams/open-teams.ts'
import { rulesInTeams, tokensInTeams } from './teams/seen-by-new-callers.ts'
import { openPools, type PoolDeps } from './pools/open-pools.ts'
import { openRouter, type RouterDeps } from './router/open-router.ts'
import { openPreviews, type PreviewDeps } from './previews/open-previews.ts'
import { openRuntime } from './runtime/open-runtime.ts'
import { openSources, type SourceDeps } from './sources/open-sources.ts'
import { openTrees, type TreeDeps } from './trees/open-trees.ts'
import { openUploads, type UploadDeps } from './uploads/open-uploads.ts'
import { whoami } from './whoami/whoami.ts'
import { assertLinkOpen, type Submissions } from './submissions.ts'

export type CommandDeps = Omit<OverviewDeps & ImageLayersDeps, 'store'> & {
  store: DeploymentStore
  vault: Pick<Vault, 'list' | 'put' | 'change' | 'remove' | 'fingerprintOf'>
  fly: MachinesApi
  metrics: MachineDeps['metrics'] & PreviewDeps['metrics']
  deployer: Deployer
  drift: Parameters<typeof driftCommands>[0]
  cache: Pick<BuildCache, 'usage' | 'remove'>
  plans: Pick<PlanCache, 'forget'>
  submissions: Submissions
  rollouts: Rollouts
  tokens: Commands['tokens']
  sessions: Commands['sessions']
  drain: Drain
  trail: AuditTrail
  copies: Copies
  rules: RuleCommands
  registries: Registries
  loginTester: LoginTester
  status: StatusDeps
  doctor: (request: DoctorRequest) => Promise<DoctorAnswer>
  log: Logger
  admission: Admission
  previewLimits: PreviewDeps['previewLimits'] & PoolDeps['previewLimits']
  prices: PreviewDeps['prices']
  claims: PreviewDeps['claims']
  previewMark: string
  /** The organisation on Fly. */
  org: string
  checkTemplate: TemplateDeps['checkTemplate']
  /** See `LimitDeps`. */
  gatewayLimits: readonly GatewayLimit[]
  sources: RouterDeps['sources'] &
    TreeDeps['sources'] &
    DeleteDeps['sources'] &
    SourceDeps['sources']
  uploads: UploadDeps['uploads'] & TreeDeps['uploads']
  ownerRoutes: RouterDeps['ownerRoutes']
  runner: {
    cancel: (
      ...request: Parameters<DeploymentStore['requestCancel']>
    ) => ReturnType<DeploymentStore['requestCancel']>
  }
}

/** For calls to Fly while a caller waits. */
const callTimeoutMs = 60_000
const deadline = () => AbortSignal.timeout(callTimeoutMs)

/** The commands, over the parts that do the work. */
export function openCommands(deps: CommandDeps): Commands {
  const { store, vault, drain, status } = deps
  return {
    ...deploymentCommands(deps),
    ...appCommands(deps),
    ...callerCommands(deps),

    status: () => gatewayStatus(status),
    diskHistory: async () => ({
      everySeconds: diskSampleMs / 1000,
      samples: await store.status.diskSamples(),
    }),
    removals: async () => ({ removals: await store.status.removals() }),
    doctor: (_caller, request) => deps.doctor(request),
    cacheUsage: () => deps.cache.usage(),
    overview: overviewCommands(deps),
    queue: queueCommands(store),
    audit: {
      async list(caller, filter, page) {
        assertKnownNames(filter)
        return deps.trail.page(filter, { ...page, isSeen: seenBy(caller, store.teams) })
      },
    },
    tokens: tokensInTeams(deps.tokens, store.teams),
    sessions: deps.sessions,
    drain,
    rules: rulesInTeams(deps.rules, store.teams),
    records: recordCommands(deps),

    secrets: (_caller, app) => vault.list(app),
    putSecret: (_caller, app, name, value) => vault.put(app, name, value),
    deleteSecret: (_caller, app, name) => vault.remove(app, name),
    changeBuildSecrets: (_caller, app, values) => vault.change(app, values),
    runtime: openRuntime(deps),
    sourceFiles: openSources(deps),
    uploads: openUploads(deps),
    trees: openTrees(deps),
    previews: openPreviews(deps),
    templates: openTemplates(deps),
    pools: openPools(deps),
    router: openRouter(deps, deleteAppAndCache),
  }
}

/** Commands that make or change deployments and rollouts, or read their records. */
function deploymentCommands(deps: CommandDeps) {
  const { store, submissions, rollouts, runner, drain, admission, vault } = deps
  const { releases } = store
  return {
    submit: (caller, submission) => submissions.submit(caller, submission),
    deploySent: drain.whileOpen((caller, { source, ...submission }) => {
      const { options, secrets } = submission
      const fingerprint = vault.fingerprintOf(secrets)
      const requestBody = { source, options, secrets: fingerprint }
      return submissions.deploySent(caller, source, { ...submission, requestBody })
    }),
    deployExisting: drain.whileOpen((caller, source, target) =>
      submissions.deployExisting(caller, source, target),
    ),
    rollback: drain.whileOpen((caller, request) =>
      rollback(caller, request, { releases, submissions }),
    ),
    retry: drain.whileOpen((caller, id, more) => submissions.retry(caller, id, more)),
    cancel: (caller, id, request) => runner.cancel(id, signed(request, caller)),
    async refuseBusyLane(caller, announced) {
      await assertLinkOpen(caller, announced, store)
      await store.refuseBusyLane({ ...announced, exempt: admission.isExempt(caller) })
    },
    deployment: (_caller, id) => findDeployment(store, id),
    logOf: (_caller, id) => findLog(store, id),
    imageLayers: (_caller, id) => imageLayers(id, deps, deadline()),
    deployments: (caller, app, page) =>
      store.list(app, { ...page, isSeen: seenBy(caller, store.teams) }),

    // The right itself is checked before each command runs.
    assertMayRollOut: async () => {},
    createRollout: drain.whileOpen((caller, rollout, build, request) =>
      rollouts.create(caller, rollout, build, request),
    ),
    rollout: (_caller, id) => rollouts.find(id),
    rollouts: (caller, page) => rollouts.list({ ...page, isSeen: seenBy(caller, store.teams) }),
    cancelRollout: (caller, id, request) => rollouts.cancel(id, signed(request, caller)),
  } satisfies Partial<Commands>
}

/** Commands about an app: its releases, its machines, its settings and its cache. */
function appCommands(deps: CommandDeps) {
  const { store, vault, fly } = deps
  const { releases } = store
  const releaseOf = async ({ app, owner }: { app: string; owner: string | null }, number: number) =>
    releaseView(await findRelease(releases, app, owner, number))

  return {
    async releases(_caller, { app, owner }, page) {
      const found = await releases.list(app, owner, page)
      return { releases: found.releases.map(releaseView), next: found.next }
    },
    release: (_caller, target, number) => releaseOf(target, number),
    releaseDiff: async (_caller, target, from, to) =>
      releaseDiff(await releaseOf(target, from), await releaseOf(target, to)),

    machines: machineCommands(deps),
    owners: openOwners(deps),
    drift: driftCommands(deps.drift),
    deleteApp: (_caller, app, request) => deleteAppAndCache(app, request, deps, deadline()),
    removeCache: (_caller, app) => removeCacheOf(app, deps, deadline()),
    settings: (_caller, app) => appSettings(app, { store, vault, fly }, deadline()),
    changeSettings: (_caller, app, patch) => store.changeAppSettings(app, patch),
  } satisfies Partial<Commands>
}

const recordCommands = ({ copies, drain }: CommandDeps): Commands['records'] => ({
  backup: (_caller) => copies.make(),
  assertDrained: async () => drain.assertDrained(),
  async restore(_caller, incoming) {
    drain.assertDrained()
    return copies.restore(incoming)
  },
})

/** Commands about what callers may use. */
function callerCommands(deps: CommandDeps) {
  const limited = { ...deps, cachePercent: cachePercentOf(deps) }
  return {
    teams: openTeams(limited),
    limits: openLimits(limited),
    registries: openRegistries(deps),
    whoami: async (caller) => whoami(caller),
  } satisfies Partial<Commands>
}
/** A cancel request without a name has the name of its caller. */
const signed = (request: NewCancelRequest, { name }: Principal): NewCancelRequest => ({
  ...request,
  by: request.by ?? name,
})
