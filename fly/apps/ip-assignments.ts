import { ignored, type IpAssignment, IpAssignments, NewIpAssignment } from '../answers.ts'
import { orNull, type FlyCalls } from '../fly-calls.ts'
import type { NewIp } from '../machine.ts'

const pathOf = (app: string) => `/apps/${app}/ip_assignments`

export async function listIps(
  calls: FlyCalls,
  app: string,
  signal: AbortSignal,
): Promise<IpAssignment[]> {
  const call = { path: pathOf(app), action: 'list-ips', id: app, answer: IpAssignments }
  return (await calls.read(call, signal)).ips ?? []
}

/** Returns the address. Null: the answer does not say it. */
export async function assignIp(
  calls: FlyCalls,
  app: string,
  body: NewIp,
  signal: AbortSignal,
): Promise<string | null> {
  const call = { path: pathOf(app), action: 'assign-ip', id: app, answer: NewIpAssignment }
  const made = await calls.call({ ...call, method: 'POST', body, repeat: 'no' }, signal)
  return made?.ip ?? null
}

/** Succeeds if the address is already gone. */
export async function releaseIp(
  calls: FlyCalls,
  app: string,
  ip: string,
  signal: AbortSignal,
): Promise<void> {
  const path = `${pathOf(app)}/${encodeURIComponent(ip)}`
  const call = { path, action: 'release-ip', id: app, answer: ignored }
  await orNull(calls.call({ ...call, method: 'DELETE' }, signal))
}
