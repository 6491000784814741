import type { Machine } from '../fly/machine.ts'
import { pause } from '../retry.ts'
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
export async function watch(run: Execution): Promise<Map<string, Machine>> {
  const { fly, watchMs } = run.settings
  const { app } = run.work
  const steps = appliedSteps(run.progress)
  const awake = steps.filter(({ launch }) => launch)

  const healthy = () =>
    run.forEachLimit(awake, awake.length, async (step) => {
      await untilHealthy(fly, expectedVersion(run, step), run.waitMs, run.signal)
    })

  const last = new Map<string, Machine>()
  const look = async () => {
    // Fly allows one list call per app and second, shared by the deployments of all owners, but
    // five reads per machine.
    const machines =
      steps.length > 3 ? await run.retryWhileUnavailable(() => fly.machines(app, run.signal)) : []
    const looks = steps.map(async (step) => {
      const wanted = expectedVersion(run, step)
      const listed = machines.find(({ id }) => id === step.machine)
      // The list may be older than the update. A read of the machine itself is not.
      const isFresh = listed?.instance_id === wanted.instanceId
      const machine = isFresh ? listed : await readMachine(run, step)
      assertNotCrashed(assertVersion(wanted, machine), wanted)
      last.set(machine.id, machine)
    })
    await Promise.all(looks)
  }

  await healthy()
  await look()
  const deadline = performance.now() + watchMs
  for (let leftMs = watchMs; leftMs > 0; leftMs = deadline - performance.now()) {
    await pause(Math.min(pollMs, leftMs), run.signal)
    await look()
  }
  await healthy()
  return last
}
