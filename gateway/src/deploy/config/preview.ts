import { Problem } from '#api/problem.ts'
import type { Guest } from '#fly/machine.ts'
import type { DesiredApp } from './desired-app.ts'

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
export const previewToml = ({ port }: PreviewSettings): string => `
[[services]]
protocol = "tcp"
internal_port = ${port}
auto_stop_machines = "stop"
auto_start_machines = true
min_machines_running = 0
ports = [{ port = 80, handlers = ["http"] }, { port = 443, handlers = ["http", "tls"] }]
`

/** Adapts the desired state to a preview: one machine for each group, within the limits. */
export function forPreview(desired: DesiredApp, settings: PreviewSettings): DesiredApp {
  const groups = desired.groups.map((group) =>
    Object.assign({}, group, { count: 1, whenNone: 'one' as const }),
  )
  for (const { name, config } of groups)
    assertSize(name, config.guest ?? desired.guest, settings.maxMemoryMb)
  return { ...desired, groups, strategy: 'immediate', waitMs: desired.waitMs ?? settings.readyMs }
}

function assertSize(group: string, guest: Record<string, unknown>, mostMb: number): void {
  const wanted = Number(guest['memory_mb'] ?? 0)
  if (wanted <= mostMb) return
  const detail = `Group ${group} asks for ${wanted} MiB of memory; the machine of a preview may have ${mostMb} MiB. Ask for less. The operator of the gateway can raise TARMAC_PREVIEW_MAX_MEMORY.`
  throw new Problem('fly-config-invalid', detail, { facts: { group, memoryMb: wanted, mostMb } })
}
