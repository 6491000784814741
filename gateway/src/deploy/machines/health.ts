import { Problem } from '#api/problem.ts'
import { statusOf } from '#fly/fly-calls.ts'
import { crashesOf, hasFinished, type Machine, type MachineRef } from '#fly/machine.ts'
import type { MachineChanges } from '#fly/machine-changes.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { pause } from '#api/flow/retry.ts'
import type { Execution } from '../execution.ts'
import type { MachineStep } from '../progress.ts'
import { failingChecks } from './checks.ts'
import { assertNotCrashed, assertVersion, failure, reverted } from './failures.ts'
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
  /** Called after each look while the checks do not all pass. */
  report?: (machine: Machine, waiting: Waiting) => Promise<void>
}
/** What a machine waits for, and for how much longer. */
export type Waiting = { pending: string[]; leftMs: number }

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
      const rests = (!running && isDown(machine)) || hasFinished(machine)
      if (machine.state === 'started' || rests) return assertVersion(wanted, machine)
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

/**
 * Waits until every check passes and each kind has a result. Throws early if the app crashes. A job
 * that has ended well needs nothing more.
 */
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
    if (hasFinished(machine)) return machine

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
        `did not pass its checks within ${Math.round(waitMs / 1000)} s (${pending.join('; ')})`,
      )
    await wanted.report?.(machine, { pending, leftMs: waitMs - elapsedMs })
    await pause(elapsedMs < 10_000 ? 250 : 1000, signal)
  }
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
