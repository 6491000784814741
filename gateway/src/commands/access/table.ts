import { queueStatus } from '#api/status/queue.ts'
import type { Commands } from '../commands.ts'
import { ruleRows, sessionRows, tokenRows } from './rows/caller-rows.ts'
import { driftRows } from './rows/drift-rows.ts'
import {
  ofCancel,
  ofChange,
  ofDeletedApp,
  ofName,
  ofRetry,
  ofRollback,
  ofSentSubmission,
  ofSubmission,
} from './recorded.ts'
import {
  administer,
  byApp,
  byDeployment,
  byRollout,
  bySubmission,
  byTarget,
  changeSecrets,
  deploy,
  listOf,
  makes,
  makesSoon,
  noApp,
  ofKeptSource,
  read,
  reads,
  secrets,
} from './row-kinds.ts'
import { poolRows, previewRows, templateRows } from './rows/preview-rows.ts'
import { machineRows, ownerRows, routerRows } from './rows/owner-rows.ts'
import { registryRows } from './rows/registry-rows.ts'
import { cacheOf, ownQueue } from './own-part.ts'
import { queueRows } from './rows/queue-rows.ts'
import { ofSent, readsOf } from './reads-of.ts'
import { type Reached, type TableOf, targetOf } from './row.ts'
import { teamRows } from './rows/team-rows.ts'
import { sourceRows } from './rows/source-rows.ts'
import { treeRows } from './rows/tree-rows.ts'
import { uploadRows } from './rows/upload-rows.ts'

/**
 * What each command needs of its caller. A command without a row does not compile;
 * test/gateway/commands/access.test.ts holds each answer.
 */
export const access: TableOf<Commands> = {
  submit: { ...deploy, ...bySubmission, ...makes, creates: true, recorded: ofSubmission },
  deploySent: {
    ...deploy,
    ...bySubmission,
    ...makes,
    creates: true,
    targets: ([{ app, options, source }]) => [
      { app, owner: options.owner },
      ...ofSent(app, source),
    ],
    recorded: ofSentSubmission,
  },
  deployExisting: {
    ...deploy,
    ...makes,
    creates: true,
    targets: async ([source, { app, options }], find) => [
      { app, owner: options.owner },
      ...(await readsOf(source, find)),
    ],
    missing: ([_source, { app }]) => noApp(app),
    recorded: { asked: ([source, { options }]) => ({ source, trigger: options.trigger }) },
  },
  rollback: { ...deploy, ...bySubmission, recorded: ofRollback },
  retry: { ...deploy, ...byDeployment, ...ofKeptSource, recorded: ofRetry },
  cancel: { ...deploy, ...byDeployment, recorded: ofCancel },
  refuseBusyLane: { ...deploy, ...makesSoon('submit'), ...bySubmission, ...makes },
  deployment: { ...read, ...reads },
  logOf: { ...read, ...reads },
  imageLayers: { ...read, ...byDeployment },
  deployments: {
    ...read,
    targets: ([app]) => [{ app }],
    missing: ([app]) => noApp(app),
    shown: ({ deployments, next }, isSeen) => ({
      deployments: deployments.filter((each) => isSeen(targetOf(each))),
      next,
    }),
  },

  releases: { ...read, ...byTarget },
  release: { ...read, ...byTarget },
  releaseDiff: { ...read, ...byTarget },

  status: {
    ...read,
    async shown({ version, at, startedAt, uptimeSeconds, cache }, isSeen, { find }) {
      const own = cache && ('unknown' in cache ? cache : cacheOf(cache, isSeen))
      return {
        version,
        at,
        startedAt,
        uptimeSeconds,
        queue: queueStatus(await find.unfinished(isSeen)),
        ...(own && { cache: own }),
      }
    },
  },
  diskHistory: read,
  removals: read,
  doctor: { ...administer, recorded: { asked: ([{ app }]) => ({ app }) } },
  machines: machineRows,
  owners: ownerRows,
  overview: {
    deployments: {
      ...read,
      shown: ({ deployments, next }, isSeen) => ({
        deployments: deployments.filter((each) => isSeen(targetOf(each))),
        next,
      }),
    },
    apps: {
      ...read,
      shown: ({ apps, next }, isSeen) => ({
        apps: apps.filter(({ app, deployment: { owner } }) => isSeen({ app, owner })),
        next,
      }),
    },
    queue: { ...read, shown: ownQueue },
  },
  queue: queueRows,
  drift: driftRows,
  deleteApp: { ...administer, ...byApp, recorded: ofDeletedApp },
  cacheUsage: {
    ...read,
    shown: cacheOf,
  },
  removeCache: { ...deploy, ...byApp },
  settings: { ...read, ...byApp },
  changeSettings: {
    ...deploy,
    ...byApp,
    recorded: { before: ([app], find) => find.settings(app), after: (settings) => settings },
  },

  changeBuildSecrets: { ...changeSecrets, ...byApp },
  secrets: { ...secrets, ...byApp },
  putSecret: { ...changeSecrets, ...byApp, recorded: ofName },
  deleteSecret: { ...changeSecrets, ...byApp, recorded: ofName },

  tokens: tokenRows,
  sessions: sessionRows,
  runtime: {
    secrets: { ...secrets, ...byTarget },
    changeSecrets: {
      ...changeSecrets,
      ...byTarget,
      targets: ([target, change]) => withDeploy(target, change),
      recorded: ofChange,
    },
    deploySecrets: {
      ...changeSecrets,
      ...byTarget,
      targets: ([target]) => withDeploy(target, { deploy: true }),
    },
    // Variables are not secret: records, releases and settings show them.
    env: { ...read, ...byApp },
    changeEnv: { ...deploy, ...byApp, recorded: ofChange },
  },

  drain: {
    start: { ...administer, recorded: { asked: ([limitMs]) => ({ limitMs }) } },
    status: read,
    end: administer,
  },
  records: {
    backup: administer,
    assertDrained: { ...administer, changes: false },
    restore: {
      ...administer,
      recorded: { asked: ([{ bytes, overNewer }]) => ({ bytes, overNewer }) },
    },
  },

  audit: {
    list: {
      ...administer,
      changes: false,
      shown: ({ entries, next }, isSeen) => ({
        entries: entries.filter(({ targets }) => targets.length > 0 && targets.every(isSeen)),
        next,
      }),
    },
  },

  rules: ruleRows,

  assertMayRollOut: {
    ...deploy,
    ...makesSoon('createRollout'),
    targets: ([targets]) => targets.map(({ app, options: { owner } }) => ({ app, owner })),
    missing: ([targets]) => noApp(targets.map(({ app }) => app).join(', ')),
  },
  createRollout: {
    ...deploy,
    creates: true,
    targets: async ([{ source, targets }, build], find) => [
      ...targets.map(({ app, options }) => ({ app, owner: options.owner })),
      ...(source ? await readsOf(source, find) : []),
      ...(build === null ? [] : listOf(await find.deployment(build))),
    ],
    missing: ([{ targets }]) => noApp(targets.map(({ app }) => app).join(', ')),
    recorded: { asked: ([{ source, parallel }, build]) => ({ source, build, parallel }) },
  },
  rollout: { ...read, ...byRollout },
  rollouts: {
    ...read,
    shown: async ({ rollouts, next }, isSeen, { find }) => {
      const isOpen = async ({ id }: { id: string }) =>
        (await find.rollout(id))?.every(isSeen) ?? false
      const open = await Promise.all(rollouts.map(isOpen))
      return { rollouts: rollouts.filter((_, at) => open[at]), next }
    },
  },
  cancelRollout: { ...deploy, ...byRollout, recorded: ofCancel },

  sourceFiles: sourceRows,
  uploads: uploadRows,
  trees: treeRows,
  previews: previewRows,
  router: routerRows,
  templates: templateRows,
  pools: poolRows,
  teams: teamRows,
  registries: registryRows,
  // The command shows the caller's own part alone.
  limits: { read: { ...read, shown: (answer) => answer } },
  whoami: { scope: null, changes: false, ofLink: () => true, shown: (answer) => answer },
}

/** A change that also makes releases needs the right to deploy. */
const withDeploy = (target: Reached, { deploy }: { deploy: boolean }): Reached[] => [
  target,
  ...(deploy ? [{ ...target, scope: 'deploy' as const }] : []),
]
