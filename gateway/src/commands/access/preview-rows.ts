import type { PreviewCommands } from '../previews/preview-commands.ts'
import { byPreview, noApp, preview, read, readsOf } from './row-kinds.ts'
import type { TableOf } from './row.ts'

/** What each command about previews needs of its caller. */
export const previewRows: TableOf<PreviewCommands> = {
  create: {
    ...preview,
    targets: async ([{ app, owner, source }], find) => [
      { app, owner },
      ...(source ? await readsOf(source, app, find) : []),
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
