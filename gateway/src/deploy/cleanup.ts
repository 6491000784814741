import { Problem } from '#api/problem.ts'
import type { Execution } from './execution.ts'
import { destroyMachine } from './machines/destroy.ts'
import { drain } from './machines/drain.ts'
import { retryTransient } from './machines/retry.ts'
import type { MachineStep } from './progress.ts'

/** Cleans up after the release is live. A failure here is only a warning. */
export async function cleanUp(execution: Execution): Promise<void> {
  const { steps } = execution.progress
  const resting = steps.filter(({ stopAfterwards }) => stopAfterwards)
  const retired = steps.filter(
    ({ role, outcome }) => (role === 'blue' || role === 'gone') && outcome !== 'removed',
  )

  await Promise.all([
    ...resting.map((step) => stopAgain(execution, step)),
    ...retired.map((step) => destroyRetired(execution, step)),
  ])
}

/** Stops a machine that was started only to test the release. */
async function stopAgain(execution: Execution, step: MachineStep): Promise<void> {
  await execution.recordIntent(step, 'stop')
  await orWarn(execution, 'could not be stopped again', step, (signal) =>
    execution.withoutLease(step).stop(signal),
  )
}

async function destroyRetired(execution: Execution, step: MachineStep): Promise<void> {
  await orWarn(
    execution,
    'is not needed any more and could not be removed',
    step,
    async (signal) => {
      if (step.role === 'gone' && step.intent !== 'destroy') await drain(execution, step, signal)
      await destroyMachine(execution, step, signal).catch(async (error: unknown) => {
        // The next deploy finds the machine by this mark and destroys it.
        const mark = ['fly_bluegreen_deployment_tag', 'safe_to_destroy'] as const
        if (step.role === 'blue')
          await execution
            .withoutLease(step)
            .setMetadata(...mark, signal)
            .catch(() => {})
        throw error
      })
    },
  )
}

async function orWarn(
  execution: Execution,
  what: string,
  { machine }: MachineStep,
  action: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  try {
    await retryTransient(execution.waitMs, execution.stopping, () => action(execution.stopping))
  } catch (error) {
    execution.stopping.throwIfAborted()
    if (!(error instanceof Problem)) throw error
    execution.job.emit({ type: 'warning', text: `Machine ${machine} ${what}: ${error.message}` })
  }
}
