import { Problem } from '#api/problem.ts'
import type { Execution } from './execution.ts'
import { destroyMachine } from './machines/destroy.ts'
import { drain } from './machines/drain.ts'
import { retryTransient } from './machines/retry.ts'
import type { MachineStep } from './progress.ts'

/** Cleans up after the release is live. A failure here is only a warning. */
export async function cleanUp(run: Execution): Promise<void> {
  const { steps } = run.progress
  const resting = steps.filter(({ stopAfterwards }) => stopAfterwards)
  const retired = steps.filter(
    ({ role, outcome }) => (role === 'blue' || role === 'gone') && outcome !== 'removed',
  )

  await Promise.all([
    ...resting.map((step) => sleep(run, step)),
    ...retired.map((step) => takeAway(run, step)),
  ])
}

/** Stops a machine that was started only to test the release. */
async function sleep(run: Execution, step: MachineStep): Promise<void> {
  await run.recordIntent(step, 'stop')
  await orWarn(run, 'could not be stopped again', step, (signal) =>
    run.withoutLease(step).stop(signal),
  )
}

async function takeAway(run: Execution, step: MachineStep): Promise<void> {
  await orWarn(run, 'is not needed any more and could not be removed', step, async (signal) => {
    if (step.role === 'gone' && step.intent !== 'destroy') await drain(run, step, signal)
    await destroyMachine(run, step, signal).catch(async (error: unknown) => {
      // The next deploy finds the machine by this mark and destroys it.
      const mark = ['fly_bluegreen_deployment_tag', 'safe_to_destroy'] as const
      if (step.role === 'blue')
        await run
          .withoutLease(step)
          .setMetadata(...mark, signal)
          .catch(() => {})
      throw error
    })
  })
}

async function orWarn(
  run: Execution,
  what: string,
  { machine }: MachineStep,
  work: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  try {
    await retryTransient(run.waitMs, run.stopping, () => work(run.stopping))
  } catch (error) {
    run.stopping.throwIfAborted()
    if (!(error instanceof Problem)) throw error
    run.work.emit({ type: 'warning', text: `Machine ${machine} ${what}: ${error.message}` })
  }
}
