import { stat } from 'node:fs/promises'
import { Problem } from '#api/problem.ts'
import { runChild } from '../host/run-child.ts'

export type Planner = { path: string; version: string }

/** The planner at this path; it is asked who it is once, and again when its file has changed. */
export function plannerAt(path: string, timeoutMs: number): () => Promise<Planner> {
  let known: { file: string; planner: Planner } | null = null
  return async () => {
    const { ino, size, mtimeMs } = await stat(path).catch(() => ({ ino: 0, size: 0, mtimeMs: 0 }))
    const file = `${ino} ${size} ${mtimeMs}`
    if (known?.file !== file) known = { file, planner: await openPlanner(path, AbortSignal.timeout(timeoutMs)) }
    return known.planner
  }
}

/** The planner at this absolute path, asked for its version; `planner-missing` when there is none that answers. */
export async function openPlanner(path: string, signal: AbortSignal): Promise<Planner> {
  const limits = { timeoutMs: 10_000, maxOutputBytes: 4096 }
  const asked = await runChild({ command: path, args: ['--version'], env: {}, cwd: '/', ...limits }, signal).catch(
    (cause: unknown) => {
      throw new Problem('planner-missing', `There is no planner at ${path}; set TARMAC_RAILPACK.`, { cause })
    },
  )
  const version = /^railpack version v?(\S+)/.exec(asked.stdout)?.[1]
  if (!version) throw new Problem('planner-missing', `${path} does not answer --version as railpack does.`)
  return { path, version }
}
