import { poll } from '#api/flow/retry.ts'
import { Problem } from '#api/problem.ts'
import type { Machine, MachineRef } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { missingToAnswer } from '../../deploy/machines/missing-to-answer.ts'
import { found } from '../machines/machine-power.ts'

type Wanted = { fly: MachinesApi; ref: MachineRef; everyMs: number; forMs: number }

/** Waits until the checks of a started machine pass, and its ports have listeners. Throws `time-limit`. */
export async function untilAnswers(
  { fly, ref, everyMs, forMs }: Wanted,
  signal: AbortSignal,
): Promise<Machine> {
  let missing = ''
  const look = async () => {
    const processes = fly.processes(ref, signal)
    processes.catch(() => {}) // it matters only if the machine has ports
    const machine = await found(fly, ref, signal)
    missing = await missingToAnswer(machine, () => processes)
    return missing === '' ? machine : null
  }
  const answering = await poll(look, { everyMs, forMs }, signal)
  if (answering) return answering
  const detail = `It was started, and does not answer after ${forMs / 1000} s: ${missing}. It is stopped again. Its log may say why: tarmac preview logs.`
  throw new Problem('time-limit', detail, { facts: { machine: ref.id } })
}
