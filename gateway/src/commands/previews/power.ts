import { type Preview, settledStates } from '#api/previews/preview.ts'
import type { PreviewAction } from '#api/previews/preview-calls.ts'
import { Problem } from '#api/problem.ts'
import type { MachinesApi } from '#fly/machines-api.ts'
import type { PreviewStore } from '../../deployments/previews/preview-store.ts'
import { powerActions } from '../machines/power-actions.ts'
import { findPreview, over } from './find-preview.ts'

export type PowerDeps = {
  fly: MachinesApi
  store: { previews: Pick<PreviewStore, 'find' | 'move'> }
}

/** For the calls to Fly of one command. */
const callMs = 240_000
const states = { stop: 'stopped', suspend: 'suspended', start: 'ready' } as const

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
  const of = { code: 'preview-not-ready', logs: `tarmac preview logs ${id}` } as const
  for (const machine of await fly.machines(flyApp, signal)) {
    const ref = { app: flyApp, id: machine.id }
    const description = `tarmac: ${action} of preview ${id} by ${by}`
    await using lease = await fly.lease(ref, { description }, signal)
    const powered = { fly, lease, of, signal: AbortSignal.any([signal, lease.lost]) }
    await powerActions[action](powered)
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
  const detail = `Preview ${id} is starting, so ${what} has to wait. To follow what starts it: tarmac follow ${deployment}`
  throw notReady(preview, detail)
}

export const notReady = ({ id, state, deployment }: Preview, detail: string): Problem =>
  new Problem('preview-not-ready', detail, { facts: { preview: id, state, deployment } })
