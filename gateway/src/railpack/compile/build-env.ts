import { byteOrder } from '../../go/byte-order.ts'

/** What commands find in their environment: variables, and the folders that go in front of the system's PATH. */
export type BuildEnv = {
  readonly variables: ReadonlyMap<string, string>
  readonly path: readonly string[]
}

export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Several environments as one: a later variable wins, the first place of a folder counts. */
export const mergeEnvs = (envs: BuildEnv[]): BuildEnv => ({
  variables: new Map(envs.flatMap(({ variables }) => [...variables])),
  path: [...new Set(envs.flatMap(({ path }) => path))],
})

export const withVariables = (env: BuildEnv, variables: Record<string, string>): BuildEnv => ({
  ...env,
  variables: new Map([...env.variables, ...Object.entries(variables)]),
})

/** A folder goes in front, unless it is on the path already. */
export const withPath = (env: BuildEnv, folder: string): BuildEnv =>
  env.path.includes(folder) ? env : { ...env, path: [folder, ...env.path] }

/** `NAME=value` lines, sorted; PATH comes last where folders were added, and in its place where it is only a variable. */
export function envLines({ variables, path }: BuildEnv): string[] {
  if (path.length === 0) return sortedLines(variables)
  const others = new Map(variables)
  others.delete('PATH')
  return [...sortedLines(others), `PATH=${[...path, systemPath].join(':')}`]
}

export const sortedLines = (variables: ReadonlyMap<string, string>): string[] =>
  [...variables].toSorted(([a], [b]) => byteOrder(a, b)).map(([name, value]) => `${name}=${value}`)
