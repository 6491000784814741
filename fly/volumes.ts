import { ignored, Volume, Volumes } from './answers.ts'
import { orNull, type FlyCalls } from './fly-calls.ts'

export type NewVolume = { name: string; region: string; size_gb: number; [field: string]: unknown }

export async function listVolumes(
  calls: FlyCalls,
  app: string,
  signal: AbortSignal,
): Promise<Volume[]> {
  const call = { path: `/apps/${app}/volumes`, action: 'list-volumes', id: app, answer: Volumes }
  return (await calls.read(call, signal)) ?? []
}

/** Never creates two. If the answer is lost or unclear, the caller must look for the volume. */
export function createVolume(
  calls: FlyCalls,
  app: string,
  volume: NewVolume,
  signal: AbortSignal,
): Promise<{ id: string }> {
  const path = `/apps/${app}/volumes`
  const call = { path, action: 'create-volume', id: app, answer: Volume.pick({ id: true }) }
  const body = { encrypted: true, ...volume }
  return calls.call({ ...call, method: 'POST', body, repeat: 'no' }, signal)
}

/** Fly refuses it while a machine has the volume. Succeeds if it is already gone. */
export async function deleteVolume(
  calls: FlyCalls,
  app: string,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  const call = { path: `/apps/${app}/volumes/${id}`, action: 'delete-volume', id, answer: ignored }
  await orNull(calls.call({ ...call, method: 'DELETE' }, signal))
}
