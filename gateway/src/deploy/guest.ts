import type { Section } from './toml-section.ts'

export type Guest = { cpu_kind: string; cpus: number; memory_mb: number; [field: string]: unknown }

const cpus = { shared: [1, 2, 4, 6, 8], performance: [1, 2, 4, 6, 8, 10, 12, 14, 16] }
const gpus: Record<string, string> = {
  'a100-40gb': 'a100-pcie-40gb',
  'a100-80gb': 'a100-sxm4-80gb',
  l40s: 'l40s',
  a10: 'a10',
}

/** The sizes that `size = "…"` may name. */
const sizes: Record<string, Guest> = Object.fromEntries([
  ...cpus.shared.map((n) => [`shared-cpu-${n}x`, { cpu_kind: 'shared', cpus: n, memory_mb: 256 * n }]),
  ...cpus.performance.map((n) => [`performance-${n}x`, { cpu_kind: 'performance', cpus: n, memory_mb: 2048 * n }]),
  ...Object.entries(gpus).map(([size, gpu_kind]) => [
    size,
    { cpu_kind: 'performance', cpus: 8, memory_mb: 32_768, gpu_kind, gpus: 1 },
  ]),
])

/** What a `[[vm]]` section asks for: a named size, then memory, then the fields given one by one. */
export function guestOf(vm: Section, hostDedicationId: string | undefined): Guest {
  const gpuKind = vm.string('gpu_kind')
  const size = vm.string('size') ?? (gpuKind ? 'performance-8x' : 'shared-cpu-1x')
  const preset = sizes[size]
  if (!preset) return vm.refuse('size', `is no machine size. Sizes are ${Object.keys(sizes).join(', ')}.`)
  const memoryMb = memory(vm)
  const dedication = vm.string('host_dedication_id') ?? hostDedicationId
  const inline = {
    cpu_kind: vm.string('cpu_kind'),
    cpus: vm.int('cpus') || undefined,
    memory_mb: vm.int('memory_mb') || undefined,
    gpus: vm.int('gpus') || undefined,
    gpu_kind: gpuKind,
    kernel_args: vm.strings('kernel_args'),
    persist_rootfs: vm.string('persist_rootfs'),
    max_memory_mb: vm.int('max_memory_mb') || undefined,
    host_dedication_id: dedication,
  }
  const given = Object.entries(inline).filter(([, value]) => value !== undefined)
  return { ...preset, ...(memoryMb && { memory_mb: memoryMb }), ...Object.fromEntries(given) }
}

/** `memory` in MiB: "512", "512mb", "2gb", 512. */
function memory(vm: Section): number | undefined {
  const text = vm.string('memory')
  if (text === undefined) return undefined
  const bytes = /^\d+$/.test(text) ? Number(text) * 2 ** 20 : sizeBytes(text, 1024)
  if (bytes === null) return vm.refuse('memory', `must be a size such as "512mb" or "2gb", not "${text}".`)
  const memoryMb = Math.floor(bytes / 2 ** 20)
  return memoryMb > 0 ? memoryMb : vm.refuse('memory', 'must be more than nothing, such as "256mb".')
}

/** "10gb", "1.5 GB", "512k": null when it is no size. */
export function sizeBytes(text: string, base: 1000 | 1024): number | null {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text)
  return match ? Number(match[1]) * base ** ' kmgtp'.indexOf((match[2] || ' ').toLowerCase()) : null
}
