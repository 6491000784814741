import type { PowerAction } from '#api/machines/machine-facts.ts'
import { Problem } from '#api/problem.ts'
import { found, start, stop, suspend, type WithLease } from './machine-power.ts'
import { type PoweredOf, untilAnswers } from './until-answers.ts'

/** A machine of a preview or of an owner. */
export type Powered = WithLease & { of: PoweredOf }

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
      const { fly, lease, signal, of } = machine
      await untilAnswers({ fly, ref: lease.ref, of, everyMs: 1000, forMs: answerMs }, signal)
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
