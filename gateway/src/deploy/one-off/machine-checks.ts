import { Problem } from '#api/problem.ts'
import { trimEnd } from '#api/text/trim-end.ts'
import { type Execution, maxParallel } from '../execution.ts'
import { applyMachine } from '../machines/apply.ts'
import { destroyMachine } from '../machines/destroy.ts'
import { assertNotCrashed } from '../machines/failures.ts'
import { readMachine } from '../machines/health.ts'
import type { MachineStep } from '../progress.ts'
import { runToEnd } from './run-to-end.ts'

/**
 * Runs `machine_checks` of fly.toml, group by group, before any machine of the app is touched. Each
 * check is a command on a throwaway machine, and tests another throwaway machine that runs the
 * release. flyctl runs them on each machine that it has updated; see its
 * internal/command/deploy/machinebasedtest.go.
 */
export async function machineChecks(execution: Execution): Promise<void> {
  for (const { name } of execution.progress.desired.groups) {
    const steps = execution.progress.steps.filter(({ group }) => group === name)
    const checks = steps.filter(
      ({ role, outcome }) => role === 'machineCheck' && outcome !== 'removed',
    )
    const tested = steps.find(({ role, outcome }) => role === 'tested' && outcome !== 'removed')
    if (checks.length > 0) await runChecks(execution, checks, tested)
    if (tested && tested.outcome !== null)
      await execution.retryWhileUnavailable(() =>
        destroyMachine(execution, tested, execution.stopping),
      )
  }
}

async function runChecks(
  execution: Execution,
  checks: MachineStep[],
  tested: MachineStep | undefined,
): Promise<void> {
  const { emit } = execution.job
  const group = checks[0]?.group
  if (tested)
    emit({
      type: 'note',
      text: `Machine checks of group ${group}: ${checks.length}, on throwaway machines, before any machine of the app is touched.`,
    })
  else
    emit({
      type: 'warning',
      text: `Group ${group} has a volume, so its machine checks run without a machine to test: FLY_TEST_MACHINE_IP is empty.`,
    })

  const address = tested ? await startTested(execution, tested) : ''

  await execution.forEachLimit(checks, maxParallel, async (step) => {
    step.base = { ...step.base, env: { FLY_TEST_MACHINE_IP: address } }
    await runToEnd(execution, step, { name: 'machine check', timeoutMs: execution.waitMs })
  })
  if (tested) await assertStillRuns(execution, tested)
}

/** Starts the machine that the checks test. It gets no traffic. Returns its private address. */
async function startTested(execution: Execution, step: MachineStep): Promise<string> {
  await beforeAnyMachine(step, () => applyMachine(execution, step))
  return (await readMachine(execution, step)).private_ip ?? ''
}

/** The checks may all pass before the release crashes. */
async function assertStillRuns(execution: Execution, step: MachineStep): Promise<void> {
  const machine = await readMachine(execution, step)
  await beforeAnyMachine(step, () => assertNotCrashed(machine, {}))
}

/** Says in the error of a failed release that no machine of the app was touched. */
async function beforeAnyMachine(step: MachineStep, work: () => void | Promise<void>) {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'deploy-failed') throw error
    const detail = `${trimEnd(error.message, '.')}, before any machine of the app was touched. It ran the release for the machine checks of group ${step.group}.`
    throw new Problem(error.code, detail, { cause: error, facts: error.facts })
  }
}
