import { Problem } from '#api/problem.ts'
import { unsoldSize } from '#fly/sizes/guest-sizes.ts'
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
  assertSold(desired)
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

/** A preview without a machine is of no use: what Fly will refuse is refused before the build. */
function assertSold({ groups, guest, releaseCommand }: DesiredApp): void {
  const configs = groups.flatMap(({ name, config, machineChecks = [] }) => [
    { who: `Group ${name}`, config },
    ...machineChecks.map((each) => ({ who: `A machine check of group ${name}`, config: each })),
  ])
  if (releaseCommand) configs.push({ who: 'The release command', config: releaseCommand.config })
  for (const { who, config } of configs) {
    const unsold = unsoldSize(config.guest)
    if (unsold)
      throw new Problem(
        'fly-config-invalid',
        `${who} asks for ${unsold.asked}, which Fly does not take. ${unsold.sold}`,
      )
  }
  const unsold = configs.some(({ config }) => !config.guest) && unsoldSize(guest)
  if (unsold)
    throw new Problem(
      'fly-denied',
      `The gateway's settings give a preview ${unsold.asked} (TARMAC_PREVIEW_MEMORY, TARMAC_PREVIEW_CPUS), which Fly does not take. ${unsold.sold} Until the operator corrects them, say the size in fly.toml ([[vm]]) or in a template.`,
    )
}

function assertSize(what: string, guests: Record<string, unknown>[], mostMb: number): void {
  if (guests.some(({ gpu_kind: kind, gpus }) => kind || gpus))
    throw new Problem('fly-config-invalid', `${what} for a GPU, which a preview never has.`)
  const memoryMb = guests.reduce((sum, { memory_mb: each }) => sum + Number(each ?? 0), 0)
  if (memoryMb <= mostMb) return
  const detail = `${what} for ${memoryMb} MiB of memory; a preview may have ${mostMb} MiB. Ask for less. The operator of the gateway can raise TARMAC_PREVIEW_MAX_MEMORY.`
  throw new Problem('fly-config-invalid', detail, { facts: { memoryMb, mostMb } })
}
