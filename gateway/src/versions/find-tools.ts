import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { tool, toolPath } from '../host/child/exec-tool.ts'

/** A version, and where it is from. `version` is null when the program is missing or names none. */
export type Found = { version: string | null; note: string | null }

/** The version of a build daemon's program, as `buildkitd --version` prints it. */
export async function daemonProgram(command: string): Promise<Found> {
  const printed = await tool(command, '--version')
  if (printed === null) return { version: null, note: `there is no ${command} that runs` }
  return named(/ v?(\d[\w.+-]*)/.exec(printed)?.[1], command)
}

/**
 * The runc that a daemon with this program uses. The order is that of the script between them
 * (`runc-with-limits`): `buildkit-runc` anywhere on the daemon's PATH, else `runc`.
 */
export async function runcOf(daemonCommand: string): Promise<Found> {
  const folders = [dirname(daemonCommand), ...toolPath.split(':')]
  const path = ['buildkit-runc', 'runc']
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((file) => existsSync(file))
  if (path === undefined)
    return { version: null, note: 'there is neither buildkit-runc nor runc on the PATH' }
  return named(/^runc version (\S+)/.exec((await tool(path, '--version')) ?? '')?.[1], path)
}

/** The mise beside railpack: railpack looks for `mise-VERSION` in its folder. */
export function miseIn(folder: string): Found {
  const names = existsSync(folder) ? readdirSync(folder) : []
  const versions = names.flatMap((name) => /^mise-([\d.]+)$/.exec(name)?.[1] ?? [])
  const version = versions.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1)
  const missing = `there is none in ${folder}: railpack fetches one when it needs it`
  return version === undefined ? { version: null, note: missing } : { version, note: null }
}

function named(version: string | undefined, path: string): Found {
  if (version === undefined) return { version: null, note: `${path} does not say its version` }
  if (version.startsWith('0.0.0'))
    return { version: null, note: `${path} was built without a version (it says ${version})` }
  return { version, note: path }
}
