import type { Awake } from '../awake/awake.ts'
import type { Logger } from '../log.ts'
import { PreviewKeeper } from './keeper.ts'
import { removePreview, type RemoveDeps } from './remove-preview.ts'

type OpenDeps = Omit<RemoveDeps, 'cancel'> & {
  store: { previews: ConstructorParameters<typeof PreviewKeeper>[0]['previews'] }
  runner: { cancel: RemoveDeps['cancel'] }
  awake: Pick<Awake, 'count'>
  log: Logger
}

/** Starts what ends previews. The gateway stays awake while there is one: its end is not missed. */
export function openPreviewKeeper({ runner, awake, log, ...deps }: OpenDeps): AsyncDisposable {
  const { previews } = deps.store
  awake.count('previews', () => previews.countLiving())
  const removing: RemoveDeps = { ...deps, cancel: (id, request) => runner.cancel(id, request) }
  return new PreviewKeeper({
    previews,
    remove: (preview, signal) => removePreview(preview, removing, signal),
    log,
  })
}
