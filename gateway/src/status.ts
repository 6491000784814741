import type { GuestSize } from '#api/status/machine.ts'
import { queueStatus } from '#api/status/queue.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { StatusDeps, StatusReaders } from './commands/status.ts'
import type { Config } from './config.ts'
import type { DeploymentStore } from './deployments/store.ts'
import { readSpace } from './host/disk/disk-space.ts'
import type { DiskWatch } from './host/disk/disk-watch.ts'
import { gatewayVersion } from './host/gateway-version.ts'
import { ownMachine } from './host/own-machine.ts'

export type StatusParts = {
  store: Pick<DeploymentStore, 'unfinishedByState'>
  disk: Pick<DiskWatch, 'state'>
  fly: Pick<MachinesApi, 'machine'>
}

/** The parts of `GET /v1/status`. Another part adds a line to `readers`. */
export function openStatus(parts: StatusParts, config: Config): StatusDeps {
  const { store, disk, fly } = parts
  const machine = machineReader(fly, config)
  const readers: StatusReaders = {
    machine,
    queue: async () => queueStatus(await store.unfinishedByState()),
    async disk() {
      const space = await readSpace(config.buildkit.root)
      const { freeBytes, sizeBytes } = space ?? { freeBytes: 0, sizeBytes: 0 }
      return { ...disk.state(), freeBytes, sizeBytes }
    },
  }
  return { version: gatewayVersion(), startedAt: new Date(), readers }
}

const sizeMs = 10_000

/** Asks Fly once for the size of the machine: only a restart of the gateway can change it. */
function machineReader(fly: Pick<MachinesApi, 'machine'>, { machine }: Pick<Config, 'machine'>) {
  let size: GuestSize | null = null
  const own = ownMachine(machine)
  void own
    .then((found) => found && fly.machine(found, AbortSignal.timeout(sizeMs)))
    .then((found) => (size = found ? guestSize(found.config?.guest) : null))
    .catch(() => null)

  return async () => {
    const found = await own
    if (!found) return null
    const { app, id, region, image } = found
    return { app, id, region, image, size }
  }
}

function guestSize(guest: Record<string, unknown> = {}): GuestSize | null {
  const { cpu_kind: kind, cpus, memory_mb: memoryMb } = guest
  if (typeof kind !== 'string' || typeof cpus !== 'number') return null
  return typeof memoryMb === 'number' ? { kind, cpus, memoryMb } : null
}
