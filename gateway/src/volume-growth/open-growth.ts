import { BuilderApi } from '#fly/builder-api.ts'
import { overUndici } from '#fly/undici-transport.ts'
import type { Mount } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { Config } from '../config.ts'
import { readSpace } from '../host/disk/disk-space.ts'
import { ownMachine } from '../host/own-machine.ts'
import type { Logger } from '../log.ts'
import { GrowthWatch } from './growth-watch.ts'
import type { MountedVolume } from './plan-growth.ts'

/** Starts to look after the volume on which the gateway's data are. */
export function openGrowth(
  config: Config,
  parts: { fly: Pick<MachinesApi, 'machine'>; refreshLimits: () => Promise<boolean> },
  log: Logger,
  opening: AsyncDisposableStack,
): GrowthWatch {
  const calls = opening.use(new BuilderApi(overUndici(config.fly.api, config.secrets.fly)))
  const own = ownMachine(config.machine)
  const { app } = config.machine
  return GrowthWatch.start({
    space: () => readSpace(config.data),
    async volume(signal) {
      const machine = await own
      const found = machine && (await parts.fly.machine(machine, signal))
      const mount = found?.config?.mounts?.find(({ path }) => isBelow(config.data, path))
      if (!mount?.volume) return null
      const volume = await calls.volume(app, mount.volume, signal)
      return volume && { id: mount.volume, sizeGb: volume.size_gb ?? 0, auto: autoOf(mount) }
    },
    extend: (id, sizeGb, signal) => calls.extendVolume(app, id, sizeGb, signal),
    onGrown: parts.refreshLimits,
    settings: config.volume,
    log,
  })
}

const isBelow = (folder: string, path = '') =>
  path !== '' && (folder === path || folder.startsWith(path.endsWith('/') ? path : `${path}/`))

/** Fly's own growth, from the mount's fields. Source: fly.md 7.6. */
export function autoOf(mount: Mount): MountedVolume['auto'] {
  const {
    extend_threshold_percent: thresholdPercent,
    add_size_gb: addGb,
    size_gb_limit: limitGb,
  } = mount
  if (typeof thresholdPercent !== 'number' || thresholdPercent === 0) return null
  return {
    thresholdPercent,
    addGb: typeof addGb === 'number' ? addGb : 0,
    limitGb: typeof limitGb === 'number' ? limitGb : 0,
  }
}
