import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from './config.ts'
import { Ballast } from './host/disk/ballast.ts'
import { bytesOf } from './host/disk/disk-space.ts'
import type { DiskWatch } from './host/disk/disk-watch.ts'
import { retryWhenFull } from './host/disk/retry-when-full.ts'
import type { OwnersPolicy } from './deployments/owners/owner-app-store.ts'
import { ownerAppName } from './deployments/owners/owner-names.ts'
import type { Logger } from './log.ts'
import { ownKey } from './secrets/own-key.ts'
import { Sources } from './sources/sources.ts'
import { Uploads } from './sources/uploads/uploads.ts'
import { databaseIn, takeVolume } from './store/backup.ts'
import { Copies } from './store/copies/copies.ts'
import { IntegrityWatch } from './store/integrity/integrity-watch.ts'
import { openSqliteStore } from './store/sqlite.ts'

type Opening = Pick<Config, 'data' | 'source' | 'uploads' | 'disk' | 'quotas' | 'owners'> & {
  log: Logger
  opening: AsyncDisposableStack
}

/**
 * Locks the volume for this gateway, and ends a restore that has begun. Returns the volume's key,
 * and the ballast for when the disk is full.
 */
export async function openVolume({
  data,
  goBackTo,
  log,
  opening,
}: Pick<Opening, 'data' | 'log' | 'opening'> & Pick<Config, 'goBackTo'>) {
  await mkdir(data, { recursive: true })
  const { restored } = opening.use(takeVolume(data, goBackTo))
  if (restored) log.warn(restored, 'records restored from a backup; the earlier ones are kept')

  // Expendable: `spool` holds interrupted uploads, `plans` holds plans that can be made again.
  const ballast = new Ballast(join(data, 'ballast'), [join(data, 'spool'), join(data, 'plans')])
  await ballast.releaseIfFull()
  return { ballast, key: await ownKey(join(data, 'key')) }
}

/**
 * The sources and the database on the volume. `restart` aborts when the gateway is to start again
 * with other records.
 */
export async function openRecords(
  config: Opening,
  { ballast, disk, key }: { ballast: Ballast; disk: DiskWatch; key: Uint8Array },
) {
  const { data, source, uploads: setting, quotas, owners: ownersSetting, log, opening } = config
  const limits = { ...source, diskLow: config.disk.low }
  const sources = opening.use(await Sources.open({ dir: data, limits }))
  const maxBytes = () => bytesOf(setting.space, disk.space)
  const uploads = opening.use(await Uploads.open({ dir: data, limits, maxBytes, ...setting }))
  const owners: OwnersPolicy = {
    setting: ownersSetting,
    nameOf: (target) => ownerAppName(key, target),
  }
  const records = () =>
    openSqliteStore(databaseIn(data), { quotas, owners, makeRoom: () => ballast.release() })
  const store = opening.use(await retryWhenFull(disk, records))
  await ballast.fillForStart()
  const { trail, trailWatch } = await store.openTrail({ dir: data, key, log })
  opening.use(trail)
  const integrity = opening.use(new IntegrityWatch(databaseIn(data), log))
  const restart = new AbortController()
  const copies = opening.use(await Copies.open(data, () => restart.abort()))
  return { sources, uploads, store, trail, trailWatch, integrity, copies, restart: restart.signal }
}
