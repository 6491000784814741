import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeploymentOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { ignoreRules } from '../ignore/ignore-rules.ts'
import { leftOutLines } from '../ignore/left-out.ts'
import type { Printer } from '../print.ts'
import { type AppConfig, readAppConfig } from './app-config.ts'
import { gitFacts } from './git-facts.ts'
import { listSource } from './list-source.ts'
import { packSource } from './pack-source.ts'

/** What a command says of the folder that it sends. */
export type FolderCommand = {
  app: string | null
  folder: string
  include: string[]
  noIgnore: boolean
  options: Pick<DeploymentOptions, 'config' | 'dockerfile' | 'plan'>
}
type OpenFolder = { path: string; config: AppConfig }

/** Finds the folder to send, and what its config file says. `command`: the command that sends it. */
export async function openFolder(
  { folder, app, options }: FolderCommand,
  command: 'deploy' | 'preview',
): Promise<OpenFolder> {
  const found = await realpath(folder).catch((cause: unknown) => {
    throw new Problem('option-invalid', `There is no folder ${folder}.`, { cause })
  })
  if ((await stat(found)).isDirectory())
    return { path: found, config: await readAppConfig(found, options.config) }
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

/** Packs a folder as it is sent, and prints what a user should know about it. */
export async function packFolder(
  { path, config }: OpenFolder,
  command: FolderCommand,
  printer: Printer,
) {
  const [{ entries, leftOut }, facts] = await Promise.all([
    list(path, command, config, printer),
    gitFacts(path, process.env),
  ])
  const files = entries.filter(({ type }) => type !== 'folder')
  const progress = printer.upload(files.length, entries)
  return { body: packSource(path, entries, progress.packed), progress, facts, leftOut }
}

/** Lists the source, and prints what a user should know about it. */
async function list(
  folder: string,
  { options: { dockerfile, plan }, include, noIgnore }: FolderCommand,
  config: AppConfig,
  printer: Printer,
): Promise<Awaited<ReturnType<typeof listSource>>> {
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
    printer.note,
  )

  const listed = await listSource(folder, rules)
  for (const line of leftOutLines(listed.leftOut)) printer.note(line)
  if (listed.entries.every(({ type }) => type === 'folder'))
    throw new Problem(
      'archive-empty',
      `There is nothing to send in ${folder}: no files, or all of them ignored.`,
    )
  return listed
}

const present = (paths: (string | null)[]) => paths.filter((path) => path !== null)
