import { Problem } from '#api/problem.ts'
import { configOf, type Machine } from '../fly/machine.ts'

/** The machines that the platform's own tools count as the app's: release commands and consoles are not. */
export function isManaged(machine: Machine): boolean {
  const { fly_platform_version: version } = configOf(machine).metadata ?? {}
  return version === 'v2' && !groupOf(machine).startsWith('fly_app_')
}
export const groupOf = (machine: Machine): string =>
  configOf(machine).metadata?.['fly_process_group'] ?? 'app'
/** Whose machine of the app it is; null: the app's. */
export const ownerOf = (machine: Machine): string | null =>
  configOf(machine).metadata?.['tarmac_owner'] ?? null

/** Of the deployment that was here last. */
export const numberOf = (machine: Machine): number =>
  Number(configOf(machine).metadata?.['tarmac_number'] ?? 0)

/** A canary, or a blue machine, that an earlier deploy could not take away. */
export function isTemporary(machine: Machine): boolean {
  const { fly_canary: canary, fly_bluegreen_deployment_tag: tag } = configOf(machine).metadata ?? {}
  return canary === 'true' || tag === 'safe_to_destroy'
}

/** The fence: whoever wakes up late must not land over a newer deployment. */
export function assertNotOlder(number: number, machine: Machine): void {
  const there = numberOf(machine)
  if (there > number)
    throw new Problem(
      'superseded',
      `Machine ${machine.id} has seen deployment number ${there}, which is newer than this one (${number}).`,
    )
}
