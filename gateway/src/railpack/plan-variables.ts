import { Problem } from '#api/problem.ts'

/**
 * Variables of the build, as the planner gets them. It needs every name, and the values only of those that it decides by;
 * these are in its environment, so that no value is in a list of processes. The others, and all secrets, get a value of
 * ours: names like LD_PRELOAD and HTTPS_PROXY would steer the planner itself, and the programs that start it.
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
  // What is no name of a variable is the id of a file that a Dockerfile mounts.
  for (const name of secretNames.filter((name) => /^\w+$/.test(name)))
    args.push('--env', `${name}=1`)
  return { args, env }
}

/** What railpack 0.37 looks at the value of. RAILPACK_VERBOSE is for its process alone, and adds a secret of its own. */
const plannerReads =
  /^(RAILPACK_(?!VERBOSE$).*|CGO_ENABLED|DB_CONNECTION|REDIS_HOST|REDIS_URL|CACHE_DRIVER|SESSION_DRIVER|QUEUE_CONNECTION)$/
