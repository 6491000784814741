import type { MachineConfig } from './machine-config.ts'

const mostMb = 2048

/**
 * Why a machine cannot be suspended, or null (superfly/docs: reference/suspend-resume, "Requirements";
 * the missing GPU is from the review of that page, superfly/docs pull request 2182). Another page
 * allows 4 GB. The words of Fly's refusal are not known.
 */
export function whyNotSuspend({ guest, init, schedule }: MachineConfig): string | null {
  if ((guest?.memory_mb ?? 0) > mostMb) return `it has more than ${mostMb} MB of memory`
  if (init?.swap_size_mb) return 'it has swap'
  if (schedule) return 'it has a schedule'
  return guest?.['gpus'] || guest?.['gpu_kind'] ? 'it has a GPU' : null
}
