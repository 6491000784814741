import type { CacheStatus } from '#api/status/cache.ts'
import type { KeepSources } from '../../deployments/store.ts'
import type { StatusStore } from '../../deployments/status/status-store.ts'
import { readSpace } from './disk-space.ts'

type Deps = {
  /** A folder on the disk. */
  root: string
  cache: { usage: () => Promise<CacheStatus> }
  store: Pick<StatusStore, 'addDiskSample' | 'sourceBytes'>
  keep: KeepSources
}

/** Records what is on the disk now. Nothing, if it cannot be read. */
export async function recordDisk({ root, cache, store, keep }: Deps): Promise<void> {
  const space = await readSpace(root)
  if (!space) return
  const usage = await cache.usage().catch(() => null)
  const { sizeBytes, freeBytes } = space
  await store.addDiskSample({
    at: new Date().toISOString(),
    sizeBytes,
    freeBytes,
    cacheBytes: usage?.totalBytes ?? null,
    sourceBytes: await store.sourceBytes(keep),
  })
}
