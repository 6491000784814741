import { type Preview, settledStates } from '#api/previews/preview.ts'
import type { PreviewAction } from '#api/previews/preview-calls.ts'
import { Problem } from '#api/problem.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { PreviewStore } from '../../deployments/previews/preview-store.ts'
import { found, start, stop, suspend, type WithLease } from '../machines/machine-power.ts'
import { findPreview, over } from './find-preview.ts'
import { untilAnswers } from './until-answers.ts'

export type PowerDeps = {
  fly: MachinesApi
  store: { previews: Pick<PreviewStore, 'find' | 'move'> }
}

/** For the calls to Fly of one command. */
const callMs = 240_000
/** How long a started preview may take to answer. */
const answerMs = 60_000
const states = { stop: 'stopped', suspend: 'suspended', start: 'ready' } as const

/** What each action does to a machine that the gateway holds the lease of. */
export const actions: Record<PreviewAction, (machine: WithLease) => Promise<void>> = {
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
      const { fly, lease, signal } = machine
      await untilAnswers({ fly, ref: lease.ref, everyMs: 1000, forMs: answerMs }, signal)
    } catch (error) {
      // Its record says that it does not run.
      await stop(machine).catch(() => {})
      throw error
    }
    await machine.lease.uncordon(machine.signal)
  },
}

/** Stops, suspends or starts the machines of a preview. See `PreviewCommands.change`. */
export async function changePower(
  by: string,
  id: string,
  action: PreviewAction,
  { fly, store: { previews } }: PowerDeps,
): Promise<Preview> {
  const preview = await findResting(previews, id, action)
  const { flyApp } = preview
  const signal = AbortSignal.timeout(callMs)
  for (const machine of await fly.machines(flyApp, signal)) {
    const ref = { app: flyApp, id: machine.id }
    const description = `tarmac: ${action} of preview ${id} by ${by}`
    await using lease = await fly.lease(ref, { description }, signal)
    await actions[action]({ fly, lease, signal: AbortSignal.any([signal, lease.lost]) })
  }
  const moved = await previews.move(id, settledStates, states[action])
  if (!moved) throw over(await findPreview(previews, id)) // its time ended meanwhile
  return moved
}

/** A preview that has a machine which nobody changes. Throws `preview-not-ready` or `preview-over`. */
export async function findResting(
  previews: Pick<PreviewStore, 'find'>,
  id: string,
  what: string,
): Promise<Preview> {
  const preview = await findPreview(previews, id)
  const { state, deployment } = preview
  if (settledStates.some((each) => each === state)) return preview
  if (state !== 'starting') throw over(preview)
  const detail = `Preview ${id} is starting, so ${what} has to wait. GET /v1/previews/${id}/events follows deployment ${deployment}, which starts it.`
  throw notReady(preview, detail)
}

export const notReady = ({ id, state, deployment }: Preview, detail: string): Problem =>
  new Problem('preview-not-ready', detail, { facts: { preview: id, state, deployment } })

async function assertRuns({ fly, lease, signal }: WithLease): Promise<void> {
  const { state } = await found(fly, lease.ref, signal)
  if (state === 'started' || state === 'suspended') return
  const detail = `Machine ${lease.ref.id} is ${state}, so it has no memory that a suspended machine could keep. Start the preview first.`
  throw new Problem('preview-not-ready', detail, { facts: { machine: lease.ref.id, state } })
}
