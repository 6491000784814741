import type { Machine } from '#fly/machine.ts'
import { pause } from '#api/flow/retry.ts'
import { expectedVersion } from './machines/apply.ts'
import { assertNotCrashed, assertVersion } from './machines/failures.ts'
import { readMachine, untilHealthy } from './machines/health.ts'
import { appliedSteps } from './plan.ts'
import type { Execution } from './execution.ts'

const pollMs = 2000

/**
 * Checks all machines again, then reads them every two seconds. A machine that has crashed since
 * its update fails the release. Returns the machines as they were last read, by id.
 */
export async function watch(execution: Execution): Promise<Map<string, Machine>> {
  const { watchMs } = execution
  const { fly } = execution.settings
  const { app } = execution.job
  const steps = appliedSteps(execution.progress)
  const awake = steps.filter(({ launch }) => launch)

  const checkHealth = () =>
    execution.forEachLimit(awake, awake.length, async (step) => {
      await untilHealthy(fly, expectedVersion(execution, step), execution.waitMs, execution.signal)
    })

  const last = new Map<string, Machine>()
  const check = async () => {
    // Fly allows one list call per app and second, shared by the deployments of all owners, but
    // five reads per machine.
    const machines =
      steps.length > 3
        ? await execution.retryWhileUnavailable(() => fly.machines(app, execution.signal))
        : []
    const checks = steps.map(async (step) => {
      const wanted = expectedVersion(execution, step)
      const listed = machines.find(({ id }) => id === step.machine)
      // The list may be older than the update. A read of the machine itself is not.
      const isFresh = listed?.instance_id === wanted.instanceId
      const machine = isFresh ? listed : await readMachine(execution, step)
      assertNotCrashed(assertVersion(wanted, machine), wanted)
      last.set(machine.id, machine)
    })
    await Promise.all(checks)
  }

  await checkHealth()
  await check()
  const deadline = performance.now() + watchMs
  for (let leftMs = watchMs; leftMs > 0; leftMs = deadline - performance.now()) {
    await pause(Math.min(pollMs, leftMs), execution.signal)
    await check()
  }
  await checkHealth()
  return last
}
