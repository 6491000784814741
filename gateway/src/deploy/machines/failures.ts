import { Problem } from '#api/problem.ts'
import { commandOf } from '#fly/machine-command.ts'
import { configOf, crashesOf, exitsOf, imageOf, type Machine } from '#fly/machine.ts'
import { groupOf } from '../managed.ts'
import { failingChecks } from './checks.ts'

/** A `deploy-failed` problem of one machine. `words` follow the machine's id. */
export const failure = (
  machine: Machine,
  words: string,
  facts: Record<string, unknown> = {},
): Problem =>
  new Problem('deploy-failed', `Machine ${machine.id} ${words}.`, {
    facts: { machine: machine.id, ...facts },
  })

/** Throws `deploy-failed` unless the machine is on the wanted version and image. */
export function assertVersion(
  wanted: { instanceId: string; digest: string | null },
  machine: Machine,
): Machine {
  if (machine.instance_id !== wanted.instanceId)
    throw failure(
      machine,
      `is on version ${machine.instance_id} with ${imageOf(machine)}, not on the version of this deployment`,
    )
  const digest = machine.image_ref?.digest
  if (wanted.digest !== null && digest !== wanted.digest)
    throw failure(machine, `runs image ${digest ?? 'unknown'}, not ${wanted.digest}`)
  return machine
}

/**
 * Throws if the app crashed. Fly restarts crashed machines, so a running machine proves nothing.
 */
export function assertNotCrashed(
  machine: Machine,
  { crashes: forgiven = 0 }: { crashes?: number },
): void {
  const crashes = crashesOf(machine)
  const times = crashes.length > 1 ? ` (${crashes.length} times)` : ''
  if (crashes.length > forgiven)
    throw failure(machine, `crashed: its process ${crashes[0]}${times}`)
  if (machine.state === 'failed')
    throw failure(machine, `could not be started by Fly${startError(machine)}`)
}

/** Fly's own words about a failed start, and what they mean where they are known. */
export function startError({ events = [] }: Machine): string {
  const error = events.find(({ status }) => status === 'failed')?.request?.error
  if (!error) return ''
  return `: ${error}${isNotFound.test(error) ? `. ${notFound}` : ''}`
}
const isNotFound = /no such file|not found|os (?:error|code) 2\b/i
const notFound =
  'The command is not in the image, or it is a script with Windows line ends (CRLF) or with an interpreter that the image lacks'

/**
 * Says what it means when the last lines hold the one by which Fly's init, or podman's, says that
 * the command itself could not be started. Empty if none does.
 */
export function spawnError(lines: string[]): string {
  const line = lines.findLast((each) => isSpawnError.test(each))
  if (line === undefined) return ''
  const why = isNotFound.test(line) ? notFound : isDenied.test(line) ? denied : ''
  return `The command itself could not be started${why && `. ${why}`}`
}
const isSpawnError = /failed to (?:spawn command|exec pid1)\b/i
const isDenied = /permission denied/i
const denied = 'Its file is not executable: chmod +x sets that'

/**
 * Says that a volume hides a file of the image which the program did not find, as its last lines
 * say. Empty if they do not.
 */
export function hiddenByVolume(machine: Machine, lines: string[]): string {
  const missing = lines.filter((line) => isNotFoundFile.test(line))
  const paths = (configOf(machine).mounts ?? []).flatMap(({ path }) => path ?? [])
  const hides = paths.find((path) => missing.some((line) => line.includes(`${path}/`)))
  return hides === undefined
    ? ''
    : `A volume is mounted at ${hides} and hides what the image has there. If the program needs that, choose another destination in [mounts]`
}
const isNotFoundFile = /not find|not found|no such file|ENOENT/i

/**
 * Says what a sender needs to know beside the program's own words, where the machine shows it: its
 * memory, the command that its config gives it, and what a check expects. Fly passes a check on 2xx
 * alone.
 */
export function explainMachine(machine: Machine): string[] {
  const config = configOf(machine)
  const [exit] = exitsOf(machine)
  const { memory_mb: memoryMb } = config.guest ?? {}
  const hasNoMemory = exit?.oom_killed === true && typeof memoryMb === 'number'
  const command = crashesOf(machine).length > 0 ? commandOf(machine) : ''
  const isRefused = failingChecks(machine).some((text) => /: [345]\d\d\b/.test(text))
  return [
    ...(command ? [`The command of its process group ${groupOf(machine)} is: ${command}`] : []),
    ...(hasNoMemory
      ? [`It has ${memoryMb} MB; memory in [[vm]] of fly.toml gives it more, such as "1gb"`]
      : []),
    ...(isRefused
      ? ["A check passes on a status from 200 to 299: the app must answer so at the check's path"]
      : []),
  ]
}

export const reverted = (machine: Machine): Problem =>
  failure(
    machine,
    `is on version ${machine.instance_id} with ${imageOf(machine)}: Fly gave up the update and went back without an error, most often because it could not pull the new image`,
    { reverted: true },
  )
export const isReverted = (error: unknown): boolean =>
  error instanceof Problem && error.facts['reverted'] === true
