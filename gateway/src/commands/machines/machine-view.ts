import type { MachineView } from '#api/machines/machine-facts.ts'
import { startsByRequest } from '#fly/exposure/autostart.ts'
import { configOf, imageOf, type Machine } from '#fly/machine.ts'

/** A machine as the API shows it. `flyApp`: the app on Fly that has it. */
export function machineView(machine: Machine, flyApp: string): MachineView {
  const { id, name, region, state, events, checks, cordoned } = machine
  const config = configOf(machine)
  const metadata = config.metadata ?? {}
  const changedAt = Math.max(0, ...(events ?? []).map(({ timestamp }) => timestamp))
  return {
    id,
    flyApp,
    name,
    region,
    state,
    group: metadata['fly_process_group'] ?? 'app',
    owner: metadata['tarmac_owner'] ?? null,
    deployment: metadata['tarmac_deployment'] ?? null,
    image: imageOf(machine),
    ...sizeOf(config.guest ?? {}),
    checks: (checks ?? []).map((check) => ({ name: check.name, status: check.status })),
    changedAt: changedAt > 0 ? new Date(changedAt).toISOString() : null,
    startsByItself: startsByRequest(config),
    cordoned: cordoned ?? false,
  }
}

/** Fly's name of a size: `shared-cpu-1x`. A guest without a part has Fly's default of it. */
function sizeOf(guest: Record<string, unknown>): { size: string; memoryMib: number } {
  const { cpu_kind: kind = 'shared', cpus = 1, memory_mb: memoryMib = 256 } = guest
  const named = kind === 'shared' ? 'shared-cpu' : String(kind)
  return { size: `${named}-${String(cpus)}x`, memoryMib: Number(memoryMib) }
}
