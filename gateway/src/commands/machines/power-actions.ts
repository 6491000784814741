import type { PowerAction } from '#api/machines/machine-facts.ts'
import { poll } from '#api/flow/retry.ts'
import { Problem } from '#api/problem.ts'
import { missingToAnswer } from '../../deploy/machines/missing-to-answer.ts'
import { found, start, stop, suspend, type WithLease } from './machine-power.ts'

/**
 * A machine of a preview or of an owner. `code`: of a problem with the state of the machine. `logs`: the
 * command that shows what its program printed.
 */
export type Powered = WithLease & {
  of: { code: 'preview-not-ready' | 'owner-not-ready'; logs: string }
}

/** How long a started machine may take to answer. */
const answerMs = 60_000

/**
 * What each action does to a machine. A stopped one gets no requests, so that none starts it. A started
 * one answers, or is stopped again. Throws `of.code`, or `time-limit`.
 */
export const powerActions: Record<PowerAction, (machine: Powered) => Promise<void>> = {
  // A cordoned machine gets no requests. Fly's proxy would start it again at the next one.
  async stop(machine) {
    await machine.lease.cordon(machine.signal)
    await stop(machine)
  },
  async suspend(machine) {
    await assertRuns(machine)
    await machine.lease.cordon(machine.signal)
    await suspend(machine)
  },
  async start(machine) {
    try {
      await start(machine)
      await untilAnswers(machine)
    } catch (error) {
      // The record says that it does not run.
      await stop(machine).catch(() => {})
      throw error
    }
    await machine.lease.uncordon(machine.signal)
  },
}

async function assertRuns({ fly, lease, signal, of }: Powered): Promise<void> {
  const { state } = await found(fly, lease.ref, signal)
  if (state === 'started' || state === 'suspended') return
  const detail = `Machine ${lease.ref.id} is ${state}, so it has no memory that a suspended machine could keep. Start it first.`
  throw new Problem(of.code, detail, { facts: { machine: lease.ref.id, state } })
}

/** Waits until the checks of a started machine pass, and its ports have listeners. */
async function untilAnswers({ fly, lease: { ref }, signal, of }: Powered): Promise<void> {
  let missing = ''
  const look = async () => {
    const machine = await found(fly, ref, signal)
    const seen = await missingToAnswer(machine, () => fly.processes(ref, signal))
    if ('ended' in seen) throw ended(seen.ended)
    missing = seen.missing
    return missing === '' ? true : null
  }
  if (await poll(look, { everyMs: 1000, forMs: answerMs }, signal)) return
  const detail = `It was started, and does not answer after ${answerMs / 1000} s: ${missing}. It is stopped again. Its log may say why: ${of.logs}`
  throw new Problem('time-limit', detail, { facts: { machine: ref.id } })

  function ended(how: string): Problem {
    const text = `Its program was started, and ${how}. Its log may say why: ${of.logs}`
    return new Problem(of.code, text, { facts: { machine: ref.id } })
  }
}
