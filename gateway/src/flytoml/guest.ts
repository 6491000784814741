import type { Guest } from '#fly/machine.ts'
import { refuse } from './schema.ts'
import type { Vm } from './sections.ts'
import { sizeIn } from './size.ts'

const cpus = { shared: [1, 2, 4, 6, 8], performance: [1, 2, 4, 6, 8, 10, 12, 14, 16] }
const gpus: Record<string, string> = {
  'a100-40gb': 'a100-pcie-40gb',
  'a100-80gb': 'a100-sxm4-80gb',
  l40s: 'l40s',
  a10: 'a10',
}

/** The sizes that `size = "…"` may name. */
const sizes: Record<string, Guest> = Object.fromEntries([
  ...cpus.shared.map((n) => [
    `shared-cpu-${n}x`,
    { cpu_kind: 'shared', cpus: n, memory_mb: 256 * n },
  ]),
  ...cpus.performance.map((n) => [
    `performance-${n}x`,
    { cpu_kind: 'performance', cpus: n, memory_mb: 2048 * n },
  ]),
  ...Object.entries(gpus).map(([size, gpu_kind]) => [
    size,
    { cpu_kind: 'performance', cpus: 8, memory_mb: 32_768, gpu_kind, gpus: 1 },
  ]),
])

/**
 * The guest of a `[[vm]]` section: a named size, then memory, then single fields. Later ones win.
 */
export function guestOf(vm: Vm, key: string, hostDedicationId: string | undefined): Guest {
  const { processes: _processes, size: named, memory, ...inline } = vm
  const size = named ?? (vm.gpu_kind ? 'performance-8x' : 'shared-cpu-1x')
  const preset = Object.hasOwn(sizes, size) ? sizes[size] : undefined
  if (!preset)
    return refuse(
      `${key}.size`,
      `is not a machine size. Sizes are ${Object.keys(sizes).join(', ')}.`,
    )
  const memoryMb = memory === undefined ? undefined : (sizeIn(memory, 1_048_576) ?? 0)
  if (memoryMb !== undefined && !(memoryMb > 0 && Number.isSafeInteger(memoryMb)))
    refuse(`${key}.memory`, `must be a size such as "512mb" or "2gb", not "${memory}".`)
  return {
    ...preset,
    ...(hostDedicationId && { host_dedication_id: hostDedicationId }),
    ...(memoryMb && { memory_mb: memoryMb }),
    ...inline,
  }
}
