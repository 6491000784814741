import { OrgApps, type OrgMachine, OrgMachines } from './answers.ts'
import type { FlyCalls } from './fly-calls.ts'

/**
 * The machines of all apps of an organisation, without their events. `since`: only those that
 * changed after this time. Fly may show a change late.
 */
export async function listOrgMachines(
  calls: FlyCalls,
  { org, since }: { org: string; since: Date | null },
  signal: AbortSignal,
): Promise<OrgMachine[]> {
  const all: OrgMachine[] = []
  const query = new URLSearchParams(since ? { updated_after: since.toISOString() } : {})
  for (;;) {
    const path = `/orgs/${encodeURIComponent(org)}/machines?${query.toString()}`
    const call = { path, action: 'list-org', id: org, answer: OrgMachines }
    const page = await calls.read(call, signal)
    all.push(...(page.machines ?? []))
    // A page may be empty although more follow.
    if (!page.next_cursor) return all
    query.set('cursor', page.next_cursor)
  }
}

export async function listOrgApps(
  calls: FlyCalls,
  org: string,
  signal: AbortSignal,
): Promise<string[]> {
  const path = `/apps?org_slug=${encodeURIComponent(org)}`
  const call = { path, action: 'list-apps', id: org, answer: OrgApps }
  return ((await calls.read(call, signal)).apps ?? []).map(({ name }) => name)
}
