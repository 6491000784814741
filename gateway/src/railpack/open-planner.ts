import { stat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { Problem } from '#api/problem.ts'
import { runInSandbox, sandboxFlaw } from '../host/sandbox/sandbox.ts'
import { type Planner, planLimits } from './plan-request.ts'
import { searchPath } from './prepare.ts'

/**
 * Returns a function that opens the planner at this path. It checks the version once, and again if
 * the file changes.
 */
export function plannerAt(path: string, timeoutMs: number): () => Promise<Planner> {
  let known: { file: string; planner: Planner } | null = null
  return async () => {
    const { ino, size, mtimeMs } = await stat(path).catch(() => ({ ino: 0, size: 0, mtimeMs: 0 }))
    const file = `${ino} ${size} ${mtimeMs}`
    if (known?.file !== file)
      known = { file, planner: await openPlanner(path, AbortSignal.timeout(timeoutMs)) }
    return known.planner
  }
}

/**
 * Opens the planner at this absolute path. It reads its version inside the sandbox, where it will
 * plan.
 */
export async function openPlanner(path: string, signal: AbortSignal): Promise<Planner> {
  if (sandboxFlaw)
    throw new Problem('planner-missing', `The planner runs in a sandbox, and ${sandboxFlaw}.`)
  const file = isAbsolute(path) && (await stat(path).catch(() => null))
  if (!file || !file.isFile())
    throw new Problem('planner-missing', `There is no planner at ${path}; set TARMAC_RAILPACK.`)

  const call = {
    command: path,
    args: ['--version'],
    env: { PATH: searchPath },
    readOnlyMounts: { [path]: path },
  }
  const limits = { ...planLimits, timeoutMs: 10_000 }
  const result = await runInSandbox(
    { ...call, folders: [], results: [], network: null, limits },
    signal,
  )

  const version = /^railpack version v?(\S+)/.exec(result.stdout)?.[1]
  if (version) return { path, version }

  const words = (result.stderr || result.stdout).trim().slice(0, 1_000)
  const advice =
    'It must be a single file that every user can run, and this machine must allow user namespaces.'
  throw new Problem(
    'planner-missing',
    `${path} does not answer --version as railpack does: ${words} ${advice}`,
  )
}
