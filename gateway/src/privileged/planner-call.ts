import { normalize } from 'node:path'

type PlannerCall = {
  command: string
  env: Record<string, string>
  readOnlyMounts: Record<string, string>
  network: string | null
}
type Allowed = {
  /** The only program that runs in the sandbox. */
  railpack: string
  /** The only value of PATH. */
  searchPath: string
  /** The names of the other variables. */
  variables: RegExp
  /** Files, and folders with all that is in them. */
  mayRead: readonly string[]
  /** The planner's network. Null: it has none. */
  namespace: string | null
}

/**
 * Throws unless the call is for the planner, with files that a planner may read. The variables reach
 * the programs of root that build the sandbox too: LD_PRELOAD or another PATH would run there.
 */
export function assertPlannerCall(call: PlannerCall, allowed: Allowed): void {
  const { railpack, searchPath, variables, mayRead, namespace } = allowed
  if (call.command !== railpack) throw new Error(`${call.command} is not the planner.`)
  if (call.network !== null && call.network !== namespace)
    throw new Error(`${call.network} is not the planner’s network.`)
  for (const [name, value] of Object.entries(call.env))
    if (name === 'PATH' ? value !== searchPath : !variables.test(name))
      throw new Error(`A planner does not get the variable ${name}=${value.slice(0, 100)}.`)
  for (const path of Object.values(call.readOnlyMounts)) {
    const isAllowed = mayRead.some((each) => path === each || path.startsWith(`${each}/`))
    if (!isAllowed || normalize(path) !== path) throw new Error(`A planner may not read ${path}.`)
  }
}
