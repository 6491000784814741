import { normalize } from 'node:path'

type PlannerCall = {
  command: string
  readOnlyMounts: Record<string, string>
  network: string | null
}
type Allowed = {
  /** The only program that runs in the sandbox. */
  railpack: string
  /** Files, and folders with all that is in them. */
  mayRead: readonly string[]
  /** The planner's network. Null: it has none. */
  namespace: string | null
}

/** Throws unless the call is for the planner, with files that a planner may read. */
export function assertPlannerCall(call: PlannerCall, allowed: Allowed): void {
  const { railpack, mayRead, namespace } = allowed
  if (call.command !== railpack) throw new Error(`${call.command} is not the planner.`)
  if (call.network !== null && call.network !== namespace)
    throw new Error(`${call.network} is not the planner’s network.`)
  for (const path of Object.values(call.readOnlyMounts)) {
    const isAllowed = mayRead.some((each) => path === each || path.startsWith(`${each}/`))
    if (!isAllowed || normalize(path) !== path) throw new Error(`A planner may not read ${path}.`)
  }
}
