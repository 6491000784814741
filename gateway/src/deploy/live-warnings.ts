import { configOf, hasFinished, isScheduled, type Machine, servedPorts } from '#fly/machine.ts'
import type { Execution } from './execution.ts'
import { failure } from './machines/failures.ts'
import { askReach, unprovenPorts } from './machines/reachability.ts'
import { waitingReporter } from './machines/report-waiting.ts'
import { isStandby } from './config/merge-config.ts'
import { appliedSteps, stopsWhenIdle } from './plan.ts'
import type { MachineStep } from './progress.ts'

/** How many machines are asked at once. */
const mostAsked = 8

/**
 * Says what is wrong although the release is live: a port that users cannot reach, and a group in
 * which nothing runs or all machines are cordoned. Writes it to the log and to the machines of the record.
 * A preview whose port stays silent is not ready: that throws `deploy-failed`.
 */
export async function warnOfTheLive(
  execution: Execution,
  machines: Map<string, Machine>,
): Promise<void> {
  const { job } = execution
  const steps = appliedSteps(execution.progress)
  for (const { name } of execution.progress.desired.groups) {
    const own = steps.filter(({ group }) => group === name)
    warnOfRest(execution, own, machines)
    warnOfCordon(execution, own, machines)
  }
  // One deadline for all: an app that does not listen does so on each of its machines.
  const deadline = performance.now() + execution.listenMs
  const silentDeadline = performance.now() + (job.preview ? execution.waitMs : execution.listenMs)
  await execution.forEachLimit(steps, mostAsked, async (step) => {
    const machine = machines.get(step.machine ?? '')
    if (!machine || !step.launch) return
    const ports = unprovenPorts(configOf(machine))
    if (ports.length === 0) return
    const report = waitingReporter(execution, step)
    const onSilent = (silent: Machine, leftMs: number) => report(silent, { pending: [], leftMs })
    const reach = await askReach(execution, step, { ports, deadline, silentDeadline, onSilent })
    if (job.preview && reach?.is === 'silent') throw failure(machine, `is not ready: ${reach.text}`)
    if (reach && reach.is !== 'reached') warn(execution, step, reach.text)
  })
}

/** Warns of a group without a running machine, unless an idle one or a finished job is the reason. */
function warnOfRest(
  execution: Execution,
  steps: MachineStep[],
  machines: Map<string, Machine>,
): void {
  const of = ({ machine }: MachineStep) => machines.get(machine ?? '')
  const runs = (step: MachineStep) => {
    const state = of(step)?.state ?? 'stopped'
    return !['stopped', 'suspended', 'failed', 'created'].includes(state) && !step.stopAfterwards
  }
  const mayRest = (step: MachineStep) => {
    const machine = of(step)
    if (!machine || hasFinished(machine)) return true
    const config = configOf(machine)
    return isScheduled(config) || stopsWhenIdle(config) || isStandby(config, config)
  }

  const down = steps.find((step) => !mayRest(step))
  if (!down || steps.some(runs) || steps.some((step) => isFinishedJob(of(step)))) return
  const { machine, group } = down
  const start = `fly machine start ${machine} --app ${execution.job.app}`
  const why = down.stopAfterwards
    ? 'it was stopped before the deploy, and is stopped again after its test'
    : 'it does not run at the end of the deploy'
  warn(execution, down, `No machine of group ${group} runs: ${why}. To start it: ${start}`)
}

/** Warns when Fly's proxy sends no machine of a group with services any request. */
function warnOfCordon(
  execution: Execution,
  steps: MachineStep[],
  machines: Map<string, Machine>,
): void {
  const served = steps.filter(({ machine }) => {
    const found = machines.get(machine ?? '')
    return found !== undefined && servedPorts(configOf(found)).length > 0
  })
  if (!served.every(({ machine }) => machines.get(machine ?? '')?.cordoned)) return
  for (const step of served) {
    const undo = `fly machine uncordon ${step.machine} --app ${execution.job.app}`
    const why = 'the machine was cordoned before the deploy, so Fly’s proxy sends it no requests'
    warn(execution, step, `Users cannot reach it: ${why}. To undo it: ${undo}`)
  }
}

const isFinishedJob = (machine: Machine | undefined): boolean =>
  machine !== undefined && hasFinished(machine)

/** `text` has no full stop at its end. */
function warn({ job }: Execution, step: MachineStep, text: string): void {
  const warning = job.redact(`${text}.`)
  step.warning = step.warning ? `${step.warning} ${warning}` : warning
  job.emit({ type: 'warning', text: `Machine ${step.machine}: ${warning}` })
}
