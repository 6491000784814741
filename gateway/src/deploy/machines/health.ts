import { Problem } from '#api/problem.ts'
import { statusOf } from '../../fly/fly-calls.ts'
import { configOf, crashesOf, imageOf, type Machine, type MachineRef } from '../../fly/machine.ts'
import type { MachineChanges } from '../../fly/machine-changes.ts'
import type { MachinesApi } from '../../fly/machines-api.ts'
import { pause } from '../../retry.ts'
import type { Execution } from '../execution.ts'
import type { MachineStep } from '../progress.ts'
import { retryUntilVisible, retryTransient } from './retry.ts'

/**
 * What a machine must run. If `digest` is null, the image is unknown and only the version counts.
 */
export type ExpectedVersion = {
  /** The machine, and the right to start it: its lease, if the gateway holds one. */
  machine: MachineChanges
  instanceId: string
  digest: string | null
  running: boolean
  /**
   * Crashes of this version that are allowed. A release may have none. A rollback may have as many
   * as before, plus one.
   */
  crashes?: number
  /** How many starts may fail. */
  failedStarts?: number
}

const transient = new Set([
  'creating',
  'starting',
  'stopping',
  'restarting',
  'suspending',
  'updating',
  'replacing',
  'destroying',
])
const waitWindowsMs = [2000, 2000, 5000, 10_000]

/**
 * Waits until the machine settles on exactly this version and image, and runs if required. Fly may
 * silently give up an update and return to the previous version. Then the state "started" proves
 * nothing, so the gateway reads version and digest back.
 */
export async function waitForVersion(
  fly: MachinesApi,
  wanted: ExpectedVersion,
  waitMs: number,
  signal: AbortSignal,
): Promise<Machine> {
  const { instanceId, running } = wanted
  const { ref } = wanted.machine
  const deadline = performance.now() + waitMs
  let strikes = 0
  let { failedStarts = 0 } = wanted
  for (let round = 0; ; round++) {
    const withinMs = Math.min(
      waitWindowsMs[round] ?? 20_000,
      Math.max(deadline - performance.now(), 1000),
    )
    const machine = await retryTransient(waitMs, signal, async () => {
      await fly.wait(ref, { state: 'settled', version: instanceId, withinMs }, signal)
      return await getMachine(fly, ref, signal)
    })

    if (machine.instance_id === instanceId) {
      strikes = 0
      if (machine.state === 'started' || (!running && isDown(machine)))
        return assertVersion(wanted, machine)
      const again =
        running &&
        machine.state === 'failed' &&
        crashesOf(machine).length === 0 &&
        failedStarts-- > 0
      if (running && !again) assertNotCrashed(machine, wanted)
      // An update does not start a stopped or suspended machine.
      if (again || (running && isAsleep(machine))) await startMachine(wanted.machine, signal)
    } else if (
      (!transient.has(machine.state) || machine.state === 'restarting') &&
      (++strikes === 2 || performance.now() > deadline)
    ) {
      // Require this twice, because an answer may be older than the update. A restarting machine is
      // no longer being updated.
      throw reverted(machine)
    }

    if (performance.now() > deadline)
      throw failure(
        machine,
        `is ${machine.state}, and was not on its new version within ${Math.round(waitMs / 1000)} s`,
      )
  }
}

/** Waits until every check passes and each kind has a result. Throws early if the app crashes. */
export async function untilHealthy(
  fly: MachinesApi,
  wanted: ExpectedVersion,
  waitMs: number,
  signal: AbortSignal,
): Promise<Machine> {
  const { ref } = wanted.machine
  const startedAt = performance.now()
  for (;;) {
    const machine = assertVersion(
      wanted,
      await retryTransient(waitMs, signal, () => getMachine(fly, ref, signal)),
    )
    assertNotCrashed(machine, wanted)

    const pending = transient.has(machine.state)
      ? [`it is ${machine.state}`]
      : failingChecks(machine)
    if (pending.length === 0) return machine

    // Fly's proxy may have stopped an idle machine. Checks only run on a started one.
    if (isAsleep(machine)) await startMachine(wanted.machine, signal)

    const elapsedMs = performance.now() - startedAt
    if (elapsedMs > waitMs)
      throw failure(
        machine,
        `did not pass its checks within ${Math.round(waitMs / 1000)} s (${pending.join('; ')})${hint(machine)}`,
      )
    await pause(elapsedMs < 10_000 ? 250 : 1000, signal)
  }
}

/** Throws `deploy-failed` unless the machine is on the wanted version and image. */
export function assertVersion(wanted: ExpectedVersion, machine: Machine): Machine {
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
  { crashes: forgiven = 0 }: Pick<ExpectedVersion, 'crashes'>,
): void {
  const crashes = crashesOf(machine)
  const times = crashes.length > 1 ? ` (${crashes.length} times)` : ''
  if (crashes.length > forgiven)
    throw failure(machine, `crashed: its process ${crashes[0]}${times}. See its log`)
  if (machine.state === 'failed')
    throw failure(machine, `could not be started by Fly${startError(machine)}`)
}

export function startError({ events = [] }: Machine): string {
  const error = events.find(({ status }) => status === 'failed')?.request?.error
  return error ? `: ${error}` : ''
}

export const isHealthy = (machine: Machine): boolean =>
  machine.state === 'started' && failingChecks(machine).length === 0

function failingChecks(machine: Machine): string[] {
  const config = configOf(machine)
  const reported = (machine.checks ?? []).filter(({ name }) => !name.startsWith('bg_deployments'))
  const bad = reported.filter(({ status }) => status !== 'passing')

  const missing = Object.keys(config.checks ?? {}).filter(
    (check) => !reported.some(({ name }) => name === check),
  )
  const serviceChecks = (config.services ?? []).some(({ checks }) => checks?.length)
  if (serviceChecks && reported.length <= Object.keys(config.checks ?? {}).length - missing.length)
    missing.push('of the service')

  return [
    ...bad.map(
      ({ name, status, output }) =>
        `check ${name} is ${status}${output ? `: ${output.slice(0, 300)}` : ''}`,
    ),
    ...missing.map((name) => `check ${name} has no result yet`),
  ]
}

/** An app that answers a check, even wrongly, does listen. It needs no hint. */
function hint(machine: Machine): string {
  const port = configOf(machine).services?.[0]?.internal_port
  const bad = (machine.checks ?? []).filter(({ status }) => status !== 'passing')
  const isDeaf = bad.every(({ output = '' }) => output === '' || output.includes('refused'))
  return port && isDeaf ? `. The app must listen on 0.0.0.0:${port}; PORT says so` : ''
}

export async function getMachine(
  fly: MachinesApi,
  ref: MachineRef,
  signal: AbortSignal,
): Promise<Machine> {
  const machine = await retryUntilVisible(() => fly.machine(ref, signal), signal)
  if (machine && machine.state !== 'destroyed') return machine
  throw new Problem('deploy-failed', `Machine ${ref.id} is gone: something else destroyed it.`)
}

/** Reads the step's machine, also while Fly is unavailable for a moment. */
export const readMachine = (
  execution: Execution,
  step: MachineStep,
  signal: AbortSignal = execution.signal,
): Promise<Machine> =>
  execution.retryWhileUnavailable(() =>
    getMachine(execution.settings.fly, execution.refOf(step), signal),
  )

const isDown = (machine: Machine): boolean => isAsleep(machine) || machine.state === 'failed'
const isAsleep = ({ state }: Machine): boolean => state === 'stopped' || state === 'suspended'

export async function startMachine(machine: MachineChanges, signal: AbortSignal): Promise<void> {
  try {
    await machine.start(signal)
  } catch (error) {
    // The machine is changing state or is gone. The next read shows which.
    if (![404, 409, 412].includes(statusOf(error) ?? 0)) throw error
  }
}

export const reverted = (machine: Machine): Problem =>
  failure(
    machine,
    `is on version ${machine.instance_id} with ${imageOf(machine)}: Fly gave up the update and went back without an error, most often because it could not pull the new image`,
    { reverted: true },
  )
export const isReverted = (error: unknown): boolean =>
  error instanceof Problem && error.facts['reverted'] === true

/** A `deploy-failed` problem of one machine. `words` follow the machine's id. */
export const failure = (
  machine: Machine,
  words: string,
  facts: Record<string, unknown> = {},
): Problem => new Problem('deploy-failed', `Machine ${machine.id} ${words}.`, { facts })
