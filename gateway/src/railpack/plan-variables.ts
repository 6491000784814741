import { Problem } from '#api/problem.ts'

/**
 * Passes the build variables to the planner. It needs every name, but only the values that its
 * decisions depend on. Those go into its environment, so that no list of processes shows a value.
 * All other variables, and all secrets, get the value 1: names like LD_PRELOAD and HTTPS_PROXY
 * would affect the planner itself, and the programs that start it.
 */
export function planVariables(
  build: Record<string, string>,
  secretNames: readonly string[] = [],
): { args: string[]; env: Record<string, string> } {
  const args: string[] = []
  const secrets = new Set(secretNames)
  const env: Record<string, string> = {}

  for (const [name, value] of Object.entries(build)) {
    if (!/^[\w+-]+$/.test(name)) {
      throw new Problem(
        'option-invalid',
        `build.${name} is no name of a variable. Use letters, digits and _.`,
      )
    }
    const decides = plannerReads.test(name)
    if (decides) env[name] = value
    if (!secrets.has(name)) args.push('--env', decides ? name : `${name}=1`)
  }

  // A name that is not a valid variable is the id of a file that a Dockerfile mounts.
  for (const name of secretNames.filter((name) => /^\w+$/.test(name)))
    args.push('--env', `${name}=1`)

  return { args, env }
}

/**
 * The variables whose values railpack 0.37 reads. RAILPACK_VERBOSE is left out: it is for the
 * railpack process alone, and would add a secret of its own.
 */
export const plannerReads =
  /^(RAILPACK_(?!VERBOSE$)[\w+-]*|CGO_ENABLED|DB_CONNECTION|REDIS_HOST|REDIS_URL|CACHE_DRIVER|SESSION_DRIVER|QUEUE_CONNECTION)$/
