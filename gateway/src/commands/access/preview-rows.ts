import type { PreviewCommands } from '../previews/preview-commands.ts'
import type { TemplateCommands } from '../templates/template-commands.ts'
import { readsOf } from './reads-of.ts'
import { administer, byApp, byPreview, noApp, preview, read } from './row-kinds.ts'
import type { TableOf } from './row.ts'

/** What each command about previews needs of its caller. */
export const previewRows: TableOf<PreviewCommands> = {
  create: {
    ...preview,
    targets: async ([{ app, owner, source }], find) => [
      { app, owner },
      ...(source ? await readsOf(source, find) : []),
    ],
    missing: ([{ app }]) => noApp(app),
    recorded: {
      asked: ([{ source, template, ttlSeconds, evict }]) => ({
        source,
        template,
        ttlSeconds,
        evict,
      }),
    },
  },
  find: { ...read, ...byPreview },
  list: {
    ...read,
    shown: ({ previews, next }, isSeen) => ({ previews: previews.filter(isSeen), next }),
  },
  extend: {
    ...preview,
    ...byPreview,
    recorded: { asked: ([_id, ttlSeconds]) => ({ ttlSeconds }), made: () => null },
  },
  destroy: { ...preview, ...byPreview, recorded: { made: () => null } },
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
