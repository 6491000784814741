import { Problem } from '#api/problem.ts'
import type { Guest, MachineConfig } from '#fly/machine.ts'
import type { DesiredApp } from './desired-app.ts'
import { serviceToml } from './service-toml.ts'

/** What the machines of previews have, unless a template or the source says otherwise. */
export type PreviewSettings = {
  /** How long a machine may take to start, and again to be ready. */
  readyMs: number
  memoryMb: number
  maxMemoryMb: number
  cpus: number
  cpuKind: 'shared' | 'performance'
  port: number
}

export const previewGuest = ({ cpuKind, cpus, memoryMb }: PreviewSettings): Guest => ({
  cpu_kind: cpuKind,
  cpus,
  memory_mb: memoryMb,
})

/** The config of a preview without template and fly.toml. It stops when idle; a request starts it. */
export const previewToml = ({ port }: PreviewSettings): string => serviceToml(port)

/** Adapts the desired state to a preview: one machine for each group, within the limits. */
export function forPreview(desired: DesiredApp, settings: PreviewSettings): DesiredApp {
  const groups = desired.groups.map((group) =>
    Object.assign({}, group, { count: 1, whenNone: 'one' as const }),
  )
  assertSizes(desired, settings.maxMemoryMb)
  return { ...desired, groups, strategy: 'immediate', waitMs: desired.waitMs ?? settings.readyMs }
}

/** Those that run together count together. Others run before them, one after the other. */
function assertSizes({ groups, guest, releaseCommand }: DesiredApp, mostMb: number): void {
  const guestsOf = (configs: readonly MachineConfig[]) =>
    configs.map((config) => config.guest ?? guest)
  const names = groups.map(({ name }) => name).join(', ')
  const plural = groups.length > 1 ? 'Its groups together ask' : `Group ${names} asks`
  assertSize(plural, guestsOf(groups.map(({ config }) => config)), mostMb)
  if (releaseCommand)
    assertSize('Its release command asks', guestsOf([releaseCommand.config]), mostMb)
  for (const { name, machineChecks = [] } of groups)
    for (const each of guestsOf(machineChecks))
      assertSize(`A machine check of group ${name} asks`, [each], mostMb)
}

function assertSize(what: string, guests: Record<string, unknown>[], mostMb: number): void {
  if (guests.some(({ gpu_kind: kind, gpus }) => kind || gpus))
    throw new Problem('fly-config-invalid', `${what} for a GPU, which a preview never has.`)
  const memoryMb = guests.reduce((sum, { memory_mb: each }) => sum + Number(each ?? 0), 0)
  if (memoryMb <= mostMb) return
  const detail = `${what} for ${memoryMb} MiB of memory; a preview may have ${mostMb} MiB. Ask for less. The operator of the gateway can raise TARMAC_PREVIEW_MAX_MEMORY.`
  throw new Problem('fly-config-invalid', detail, { facts: { memoryMb, mostMb } })
}
