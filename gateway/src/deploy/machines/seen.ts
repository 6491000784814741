import type { MachineSeen, SeenEvent } from '#api/machines/deployed-machine.ts'
import { eventsOf, exitWords, type Machine, type MachineEvent } from '#fly/machine.ts'
import type { MachineStep } from '../progress.ts'
import { reportedChecks, shownOf } from './checks.ts'

const maxChecks = 10
const maxEvents = 10
const maxName = 100
const maxText = 300

type Redact = (text: string) => string

/** A machine for the record. Without `redact` it says nothing that a program wrote. */
export const seenOf = (machine: Machine, redact: Redact | null = null): MachineSeen => ({
  state: machine.state,
  checks: reportedChecks(machine)
    .slice(0, maxChecks)
    .map(({ name, status, output }) => ({
      name: name.slice(0, maxName),
      status: status.slice(0, maxName),
      ...(redact && output && status !== 'passing' && { output: redact(shownOf(output)) }),
    })),
})

/** Records how the machine is on the version that the deploy gave it. */
export function noteSeen(step: MachineStep, machine: Machine, redact: Redact): void {
  const { attempted } = step
  if (!attempted || machine.instance_id !== attempted.instanceId) return
  step.now = step.attempted = { ...attempted, seen: seenOf(machine, redact) }
  step.events = eventsOf(machine)
    .slice(0, maxEvents)
    .map((event) => seenEvent(event, redact))
}

function seenEvent({ timestamp, type, status, request }: MachineEvent, redact: Redact): SeenEvent {
  const exit = request?.exit_event ?? request?.MonitorEvent?.exit_event
  const why = request?.error ? redact(request.error.slice(0, maxText)) : exit && exitWords(exit)
  return {
    at: new Date(timestamp).toISOString(),
    type: type.slice(0, maxName),
    status: status.slice(0, maxName),
    ...(why && { text: why }),
  }
}
