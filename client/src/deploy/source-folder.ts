import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { ignoreRules } from '../ignore/ignore-rules.ts'
import { type AppConfig, readAppConfig } from './app-config.ts'
import { findAppRoot } from './app-root.ts'
import { type Entry, type LeftOut, listSource } from './list-source.ts'
import type { FolderOptions } from './read-folder-options.ts'

type Paths = Pick<DeploymentOptions, 'config' | 'dockerfile' | 'plan'>
/** What a command says of the folder that it sends. */
export type FolderCommand = FolderOptions & {
  app: string | null
  folder: string
  options: Paths
}
/** `options`: the paths of the command, in what is sent. */
export type OpenFolder = { path: string; config: AppConfig; options: Paths }

/** Finds the folder to send, and what its config file says. `command`: the command that sends it. */
export async function openFolder(
  { folder, app, root, options: { config, dockerfile, plan } }: FolderCommand,
  command: 'deploy' | 'preview',
  note: (text: string) => void,
): Promise<OpenFolder> {
  const found = await realpath(folder).catch((cause: unknown) => {
    throw new Problem('option-invalid', `There is no folder ${folder}.`, { cause })
  })
  if ((await stat(found)).isDirectory()) {
    const given = { config, dockerfile, plan }
    const inRoot = root === null ? null : await findAppRoot(found, root, given)
    if (inRoot?.note) note(inRoot.note)
    const { folder: path, options } = inRoot ?? { folder: found, options: given }
    return { path, options, config: await readAppConfig(path, options.config) }
  }
  throw new Problem(
    'option-invalid',
    `${folder} is a file; tarmac ${command} sends a folder. To send an archive: curl ${archiveCall(command, folder, app)}`,
  )
}

const archiveCall = (command: 'deploy' | 'preview', folder: string, app: string | null) => {
  const send = `-sSNT ${folder} -H "Authorization: Bearer $TARMAC_TOKEN"`
  return command === 'deploy'
    ? `${send} $TARMAC_GATEWAY/deploy/${app ?? 'APP'}`
    : `-X POST ${send} "$TARMAC_GATEWAY/v1/previews?app=${app ?? 'APP'}&owner=OWNER"`
}

export type ListedFolder = {
  entries: Entry[]
  leftOut: LeftOut[]
  /** When the listing began, in milliseconds since 1970. */
  listedMs: number
}

/** Lists what is sent of a folder, and what is left out. Throws if nothing is sent. */
export async function listFolder(
  { path: folder, config, options: { dockerfile, plan } }: OpenFolder,
  { include, noIgnore }: Pick<FolderOptions, 'include' | 'noIgnore'>,
  note: (text: string) => void,
): Promise<ListedFolder> {
  for (const path of include)
    await stat(join(folder, path)).catch((cause: unknown) => {
      throw new Problem('option-invalid', `--include: there is no ${path} in ${folder}.`, { cause })
    })

  const { file, ignorefile, files } = config
  const named = [file, dockerfile, plan, config.dockerfile, ignorefile, ...files]
  const chosen = dockerfile ?? config.dockerfile ?? 'Dockerfile'
  const rules = await ignoreRules(
    folder,
    {
      ignoreFiles: [...present([ignorefile]), `${chosen}.dockerignore`, '.dockerignore'],
      included: [...present(named), ...include].map((path) => path.replace(/^\.\//, '')),
      noIgnore,
    },
    note,
  )

  const listedMs = Date.now()
  const listed = await listSource(folder, rules)
  if (listed.entries.every(({ type }) => type === 'folder'))
    throw new Problem(
      'archive-empty',
      `There is nothing to send in ${folder}: no files, or all of them ignored.`,
    )
  return { ...listed, listedMs }
}

const present = (paths: (string | null)[]) => paths.filter((path) => path !== null)
