import type { PreviewsStatus } from '#api/previews/previews-status.ts'
import type { Awake } from '../awake/awake.ts'
import type { DeploymentStore } from '../deployments/store.ts'
import type { Logger } from '../log.ts'
import { PreviewKeeper } from './keeper.ts'
import { PoolKeeper, type PoolKeeperDeps, type PoolSettings } from './pool/pool-keeper.ts'
import { previewsStatus } from './previews-status.ts'
import { removePreview, type RemoveDeps } from './remove-preview.ts'
import type { SweepDeps } from './sweep.ts'
import { PreviewSweeps } from './sweeps.ts'

type OpenDeps = Omit<RemoveDeps, 'cancel' | 'fly' | 'store'> &
  Pick<SweepDeps, 'org' | 'mark'> & {
    store: RemoveDeps['store'] & PoolKeeperDeps['store'] & Pick<DeploymentStore, 'teams'>
    fly: PoolKeeperDeps['fly']
    submissions: PoolKeeperDeps['submissions']
    claims: PoolKeeperDeps['claims']
    runner: { cancel: RemoveDeps['cancel'] }
    awake: Pick<Awake, 'count' | 'during'>
    log: Logger
  }

/**
 * Starts what ends previews, compares them with Fly, and fills pools of them. The gateway stays awake while there is one:
 * its end is not missed.
 */
export function openPreviewKeeper(
  { runner, awake, ...deps }: OpenDeps,
  settings: PoolSettings,
): { status: () => Promise<PreviewsStatus> } & AsyncDisposable {
  const { store, log } = deps
  const { previews, teams, pools } = store
  awake.count('previews', () => previews.countLiving())
  const removing: RemoveDeps = { ...deps, cancel: (id, request) => runner.cancel(id, request) }
  const keeper = new PreviewKeeper({
    previews,
    remove: (preview, signal) => removePreview(preview, removing, signal),
    log,
  })
  const sweeps = new PreviewSweeps({ ...deps, previews, pools, teams, awake }, settings.sweepMs)
  const poolKeeper = new PoolKeeper(deps, settings)
  return {
    status: () => previewsStatus(store, sweeps.status),
    async [Symbol.asyncDispose]() {
      await Promise.all([keeper, sweeps, poolKeeper].map((each) => each[Symbol.asyncDispose]()))
    },
  }
}
