import { ChainKey } from './chain.ts'
import { headFileIn } from './head-file.ts'
import { Trail, type TrailDeps } from './trail.ts'
import { TrailWatch } from './trail-watch.ts'

/** The audit trail of a volume, and its keeper. `key`: the volume's. Dispose the trail alone. */
export async function openTrail(
  store: Pick<TrailDeps, 'rows' | 'tools'>,
  { dir, key, log }: { dir: string; key: Uint8Array; log: TrailDeps['log'] },
) {
  const trail = await Trail.open({
    ...store,
    key: new ChainKey(key),
    headFile: headFileIn(dir),
    log,
  })
  return { trail, trailWatch: await TrailWatch.open({ trail, dir, log }) }
}
