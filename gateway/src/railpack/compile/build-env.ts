import { byteOrder } from '../../go/byte-order.ts'

/** The environment of commands: variables, and the folders that come before the system's PATH. */
export type BuildEnv = {
  readonly variables: ReadonlyMap<string, string>
  readonly path: readonly string[]
}

export const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Merges environments: the last value of a variable and the first position of a folder count.
 * railpack does so since its commit 2ad29a48; the tag v0.37.0 keeps folders that come twice.
 */
export const mergeEnvs = (envs: BuildEnv[]): BuildEnv => ({
  variables: new Map(envs.flatMap(({ variables }) => [...variables])),
  path: [...new Set(envs.flatMap(({ path }) => path))],
})

export const withVariables = (env: BuildEnv, variables: Record<string, string>): BuildEnv => ({
  ...env,
  variables: new Map([...env.variables, ...Object.entries(variables)]),
})

/** Puts a folder first, unless it is already on the path. */
export const withPath = (env: BuildEnv, folder: string): BuildEnv =>
  env.path.includes(folder) ? env : { ...env, path: [folder, ...env.path] }

/**
 * Sorted `NAME=value` lines. PATH is last if folders were added; otherwise it is sorted like any
 * variable.
 */
export function envLines({ variables, path }: BuildEnv): string[] {
  if (path.length === 0) return sortedLines(variables)
  const others = new Map(variables)
  others.delete('PATH')
  return [...sortedLines(others), `PATH=${[...path, systemPath].join(':')}`]
}

export const sortedLines = (variables: ReadonlyMap<string, string>): string[] =>
  [...variables].toSorted(([a], [b]) => byteOrder(a, b)).map(([name, value]) => `${name}=${value}`)
