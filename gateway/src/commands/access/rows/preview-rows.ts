import type { NewPreview } from '#api/previews/preview.ts'
import type { PoolCommands } from '../../pools/pool-commands.ts'
import type { PreviewCommands } from '../../previews/preview-commands.ts'
import type { TemplateCommands } from '../../templates/template-commands.ts'
import { ofSent, readsOf } from '../reads-of.ts'
import { administer, byApp, byPreview, exec, noApp, preview, read } from '../row-kinds.ts'
import type { Lookups, TableOf } from '../row.ts'

/** For commands whose first argument is the request of a preview. */
const byRequest = {
  targets: async ([{ app, owner, source }]: [NewPreview, ...unknown[]], find: Lookups) => [
    { app, owner },
    // A release is one of the whole app, also for a caller that is limited to its owner.
    ...(source ? await readsOf('release' in source ? { app, ...source } : source, find) : []),
  ],
  missing: ([{ app }]: [NewPreview, ...unknown[]]) => noApp(app),
}

/** What each command about previews needs of its caller. */
export const previewRows: TableOf<PreviewCommands> = {
  create: {
    ...preview,
    ...byRequest,
    targets: async ([request, parts], find) => [
      ...(await byRequest.targets([request], find)),
      ...(parts.sent ? ofSent(request.app, parts.sent) : []),
    ],
    recorded: {
      asked: ([{ source, template, ttlSeconds, evict }, { upload, sent, secrets }]) => ({
        source: source ?? sent ?? upload?.digest,
        template,
        ttlSeconds,
        evict,
        ...(secrets?.size && { secrets: [...secrets.keys()] }),
      }),
    },
  },
  assertRoom: { ...preview, ...byRequest, changes: false, early: 'previews.create' },
  find: { ...read, ...byPreview },
  list: {
    ...read,
    shown: ({ previews, next }, isSeen) => ({ previews: previews.filter(isSeen), next }),
  },
  living: { ...read, shown: (previews, isSeen) => previews.filter(isSeen) },
  requests: {
    ...read,
    shown: ({ previews, ...found }, isSeen) => ({
      ...found,
      previews: previews.filter(isSeen),
      omitted: 0, // of others, too
    }),
  },
  extend: {
    ...preview,
    ...byPreview,
    recorded: { asked: ([_id, ttlSeconds]) => ({ ttlSeconds }), made: () => null },
  },
  destroy: { ...preview, ...byPreview, recorded: { made: () => null } },
  change: {
    ...preview,
    ...byPreview,
    recorded: { asked: ([_id, action]) => ({ action }), made: () => null },
  },
  logs: { ...read, ...byPreview },
  exec: {
    ...exec,
    ...byPreview,
    targets: async (args, find) =>
      ((await byPreview.targets(args, find)) ?? []).flatMap((target) => [
        target,
        { ...target, scope: 'preview' as const },
      ]),
    // Its arguments may hold a secret.
    recorded: { asked: ([_id, { command }]) => ({ program: command[0]?.slice(0, 200) }) },
  },
}

/** The same of templates. They say what a machine may be like, so a caller of previews cannot set them. */
export const templateRows: TableOf<TemplateCommands> = {
  list: { ...read, ...byApp },
  find: { ...read, ...byApp },
  set: {
    ...administer,
    ...byApp,
    recorded: {
      asked: ([_app, name]) => ({ name }),
      after: ({ version }) => ({ version }),
      made: ({ name }) => name,
    },
  },
  remove: { ...administer, ...byApp, recorded: { asked: ([_app, name]) => ({ name }) } },
}

/** The same of warm pools. Their machines cost money without a request. */
export const poolRows: TableOf<PoolCommands> = {
  list: {
    ...read,
    shown: (pools, isSeen) => pools.filter(({ app }) => isSeen({ app, owner: null })),
  },
  set: {
    ...administer,
    ...byApp,
    targets: async ([app, _template, { image }], find) => [
      { app, owner: null },
      ...(await readsOf({ image }, find)),
    ],
    recorded: {
      asked: ([_app, template, { image, size, rest, region }]) => ({
        template,
        image,
        size,
        rest,
        region,
      }),
      made: ({ template }) => template,
    },
  },
  remove: { ...administer, ...byApp, recorded: { asked: ([_app, template]) => ({ template }) } },
}
