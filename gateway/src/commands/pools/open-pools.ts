import type { PoolFilter } from '#api/previews/pool.ts'
import { Problem } from '#api/problem.ts'
import type { DeploymentStore } from '../../deployments/store.ts'
import type { Submissions } from '../submissions.ts'
import { findTemplate } from '../templates/open-templates.ts'
import type { PoolCommands } from './pool-commands.ts'
import { type PoolViewDeps, poolViews } from './pool-views.ts'
import { findPooledImage } from './pooled-image.ts'

export type PoolDeps = {
  store: Pick<DeploymentStore, 'templates'> & PoolViewDeps
  submissions: Pick<Submissions, 'look'>
  /** `pooled`: how many entries all pools may have together. */
  previewLimits: { pooled: number }
}

/** See `PoolCommands`. */
export function openPools({ store, submissions, previewLimits }: PoolDeps): PoolCommands {
  return {
    async list(_caller, { app }: PoolFilter) {
      const views = await poolViews(store)
      return views.filter((view) => app === undefined || view.app === app)
    },
    async set({ name: setBy }, app, template, pool) {
      await findTemplate(store, { app, name: template, version: null })
      await findPooledImage(app, pool.image, submissions)
      return store.pools.set({ app, template, setBy, ...pool }, previewLimits.pooled)
    },
    async remove(_caller, app, template) {
      const removed = await store.pools.remove({ app, template })
      if (removed) return removed
      const detail = `${app} has no pool of the template ${template.slice(0, 100)}. To list them: tarmac pool ls ${app}`
      throw new Problem('pool-not-found', detail)
    },
  }
}
