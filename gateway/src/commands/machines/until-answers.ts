import { poll } from '#api/flow/retry.ts'
import { Problem } from '#api/problem.ts'
import type { Machine, MachineRef } from '#fly/machine.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import { missingToAnswer } from '../../deploy/machines/missing-to-answer.ts'
import { found } from './machine-power.ts'

/**
 * What a machine is part of. `code`: of a problem with the state of the machine. `logs`: the command
 * that shows what its program printed.
 */
export type PoweredOf = { code: 'preview-not-ready' | 'owner-not-ready'; logs: string }

type Wanted = {
  fly: MachinesApi
  ref: MachineRef
  of: PoweredOf
  everyMs: number
  forMs: number
}

/**
 * Waits until the checks of a started machine pass, and its ports have listeners. Throws `of.code` if
 * its program has ended, or `time-limit`.
 */
export async function untilAnswers(
  { fly, ref, of, everyMs, forMs }: Wanted,
  signal: AbortSignal,
): Promise<Machine> {
  let missing = ''
  const problem = (code: Problem['code'], text: string) =>
    new Problem(code, `${text} Its log may say why: ${of.logs}`, { facts: { machine: ref.id } })
  const look = async () => {
    const processes = fly.processes(ref, signal)
    processes.catch(() => {}) // it matters only if the machine has ports
    const machine = await found(fly, ref, signal)
    const seen = await missingToAnswer(machine, () => processes)
    if ('ended' in seen) throw problem(of.code, `Its program was started, and ${seen.ended}.`)
    missing = seen.missing
    return missing === '' ? machine : null
  }
  const answering = await poll(look, { everyMs, forMs }, signal)
  if (answering) return answering
  throw problem(
    'time-limit',
    `It was started, and does not answer after ${forMs / 1000} s: ${missing}. It is stopped again.`,
  )
}
