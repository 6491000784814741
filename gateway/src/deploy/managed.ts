import { Problem } from '#api/problem.ts'
import { configOf, type Machine } from '#fly/machine.ts'

/**
 * Whether Fly's own tools count the machine as the app's. Those of release commands and consoles do
 * not count.
 */
export function isManaged(machine: Machine): boolean {
  const { fly_platform_version: version } = configOf(machine).metadata ?? {}
  return version === 'v2' && !groupOf(machine).startsWith('fly_app_')
}
export const groupOf = (machine: Machine): string =>
  configOf(machine).metadata?.['fly_process_group'] ?? 'app'
/** The owner of the machine. Null: the app itself. */
export const ownerOf = (machine: Machine): string | null =>
  configOf(machine).metadata?.['tarmac_owner'] ?? null

/** The number of the machine's last deployment. 0: none. */
export const numberOf = (machine: Machine): number =>
  Number(configOf(machine).metadata?.['tarmac_number'] ?? 0)

/** Whether it is a canary or a blue machine that an earlier deploy could not destroy. */
export function isTemporary(machine: Machine): boolean {
  const { fly_canary: canary, fly_bluegreen_deployment_tag: tag } = configOf(machine).metadata ?? {}
  return canary === 'true' || tag === 'safe_to_destroy'
}

/**
 * The fence: throws `superseded` if a newer deployment has changed the machine. A late deployment
 * must not overwrite it.
 */
export function assertNotOlder(number: number, machine: Machine): void {
  const newest = numberOf(machine)
  if (newest > number)
    throw new Problem(
      'superseded',
      `Machine ${machine.id} has seen deployment number ${newest}, which is newer than this one (${number}).`,
    )
}
