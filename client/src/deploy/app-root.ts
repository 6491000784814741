import { stat } from 'node:fs/promises'
import { join } from 'node:path/posix'
import { configNames } from '#api/app.ts'
import type { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { readAppConfig } from './app-config.ts'

type Paths = Pick<DeploymentOptions, 'config' | 'dockerfile' | 'plan'>
/** What is sent for an app in a folder of a monorepo. `options` have paths in what is sent. */
export type AppRoot = { folder: string; options: Paths; note: string | null }

/**
 * Finds the config file, the Dockerfile and the plan of an app in the folder `root` of `folder`.
 * The whole folder is sent if a Dockerfile or a plan builds the app. railpack looks only at the
 * root of what is sent, so without them `root` is sent alone.
 */
export async function findAppRoot(folder: string, root: string, given: Paths): Promise<AppRoot> {
  const own = join(folder, root)
  if (!(await isFolder(own)))
    throw new Problem('option-invalid', `--root: there is no folder ${root} in ${folder}.`)
  const inside = (path: string | null) => (path === null ? null : join(root, path))

  const config = given.config ?? (await firstFile(own, configNames))
  const said = await readAppConfig(folder, inside(config))
  const options = {
    config: inside(config),
    plan: inside(given.plan),
    dockerfile:
      inside(given.dockerfile) ??
      (said.dockerfile === null && given.plan === null
        ? inside(await firstFile(own, ['Dockerfile', 'dockerfile']))
        : null),
  }
  if (options.dockerfile !== null || options.plan !== null || said.dockerfile !== null)
    return { folder, options, note: null }
  return {
    folder: own,
    options: given,
    note: `${root} has no Dockerfile and no plan: only this folder is sent, and railpack builds it`,
  }
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )

async function firstFile(folder: string, names: readonly string[]): Promise<string | null> {
  for (const name of names) {
    const found = await stat(join(folder, name)).catch(() => null)
    if (found?.isFile()) return name
  }
  return null
}
