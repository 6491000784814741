import { randomUUID } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppName, appNameRule } from '#api/app.ts'
import { Problem } from '#api/problem.ts'
import type { DeploymentRecord } from '../answers.ts'
import { type AppConfig, readAppConfig } from './app-config.ts'
import type { DeployCommand } from './read-deploy.ts'
import { followToEnd } from '../follow-deployment.ts'
import type { Gateway } from '../gateway.ts'
import { gitFacts } from './git-facts.ts'
import { ignoreRules } from '../ignore/ignore-rules.ts'
import { findUploaded, leaveOrCancel } from '../interrupt.ts'
import { leftOutHint, leftOutLines } from '../ignore/left-out.ts'
import { listSource } from './list-source.ts'
import { packSource } from './pack-source.ts'
import type { Printer } from '../print.ts'

/** Packs a folder, sends it, and follows the deployment to its end. Returns the exit code. */
export async function deploy(
  command: DeployCommand,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const folder = await folderOf(command)
  const config = await readAppConfig(folder, command.options.config)
  const app = command.app ?? appOf(config, folder)

  const [{ entries, leftOut }, facts] = await Promise.all([
    list(folder, command, config, printer),
    gitFacts(folder, process.env),
  ])
  const files = entries.filter(({ type }) => type !== 'folder')
  const progress = printer.upload(files.length, entries)
  const body = packSource(folder, entries, progress.packed)
  const key = randomUUID()
  const asked = { app, options: { ...command.options, ...facts }, secrets: command.secrets, key }
  const onInterrupt = (id: string) => leaveOrCancel(id, gateway, printer, signal)

  let deployment: DeploymentRecord
  let hasBegun = false
  const onSent = (bytes: number) => {
    hasBegun = true
    progress.sent(bytes)
  }
  try {
    deployment = await gateway.upload(asked, body, onSent, signal)
  } catch (error) {
    // An answer of the gateway is its own verdict. Without one the deployment may exist.
    if (error instanceof Problem && error.code !== 'not-ready' && !signal.aborted) throw error
    const found = hasBegun ? await findUploaded(app, key, gateway) : 'none'
    if (!signal.aborted && typeof found === 'string') throw error
    if (typeof found === 'string') return printer.interrupted({ text: endedWithout[found] })
    deployment = found
  }

  progress.done()
  const address = gateway.recordUrl(deployment.id)
  printer.accepted(deployment, address)
  if (signal.aborted) return printer.interrupted(await onInterrupt(deployment.id))
  if (command.detach) return printer.detached(deployment, address)
  const hint = (words: string) => leftOutHint(leftOut, words)
  return followToEnd(deployment, gateway, printer, { signal, onInterrupt, hint })
}

const endedWithout = {
  none: 'Stopped: the gateway has accepted no deployment.',
  unknown:
    'Stopped. The gateway does not say whether it has accepted the deployment: see the list of the app’s deployments.',
}

async function folderOf({ folder, app }: DeployCommand): Promise<string> {
  const found = await realpath(folder).catch((cause: unknown) => {
    throw new Problem('option-invalid', `There is no folder ${folder}.`, { cause })
  })
  if ((await stat(found)).isDirectory()) return found
  throw new Problem(
    'option-invalid',
    `${folder} is a file; tarmac deploy sends a folder. To send an archive: curl -sSNT ${folder} -H "Authorization: Bearer $TARMAC_TOKEN" $TARMAC_GATEWAY/deploy/${app ?? 'APP'}`,
  )
}

/** The app that the config file of a folder names. */
function appOf({ file, app, error }: AppConfig, folder: string): string {
  if (app !== null && AppName.safeParse(app).success) return app
  const reason =
    file === null
      ? `${folder} has no fly.toml that names one.`
      : error !== null
        ? `${file} cannot be read (${error}).`
        : app === null
          ? `${file} names none.`
          : `${file} names “${app}”. ${appNameRule}`
  throw new Problem('option-invalid', `Name the app: tarmac deploy APP [folder]. ${reason}`)
}

/** Lists the source, and prints what a user should know about it. */
async function list(
  folder: string,
  { options: { dockerfile, plan }, include, noIgnore }: DeployCommand,
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
