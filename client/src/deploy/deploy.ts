import { randomUUID } from 'node:crypto'
import { AppName, appNameRule } from '#api/app.ts'
import { writeOptions } from '#api/options.ts'
import { Problem } from '#api/problem.ts'
import { fill, routes } from '#api/routes.ts'
import { type DeploymentRecord, readRecord } from '../answers.ts'
import type { AppConfig } from './app-config.ts'
import { dryRun } from './dry-run.ts'
import type { DeployCommand } from './read-deploy.ts'
import { folderToSend } from './send-folder.ts'
import { openFolder } from './source-folder.ts'
import { followToEnd } from '../follow-deployment.ts'
import type { Gateway } from '../gateway.ts'
import { findUploaded, leaveOrCancel } from '../interrupt.ts'
import { leftOutHint } from '../ignore/left-out.ts'
import type { Printer } from '../print.ts'
import type { Door } from '../sending/send-source.ts'
import { uploadForm } from '../sending/upload-form.ts'

/** Sends a folder, and follows the deployment to its end. Returns the exit code. */
export async function deploy(
  command: DeployCommand,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const folder = await openFolder(command, 'deploy', printer.note)
  if (command.dryRun) return dryRun(folder, command, printer)
  const app = command.app ?? appOf(folder.config, folder.path)
  const { facts, leftOut, sender, done } = await folderToSend(folder, command, {
    gateway,
    printer,
    signal,
  })
  const options = { ...command.options, ...folder.options, ...facts }
  const sending = sender(doorOf(app, { ...command, options }, gateway))
  const onInterrupt = (id: string) => leaveOrCancel(id, gateway, printer, signal)

  let deployment: DeploymentRecord
  try {
    deployment = await sending.send()
  } catch (error) {
    if (!signal.aborted) throw error
    const { key } = sending.door
    const found = sending.hasBegun ? await findUploaded(app, key, gateway) : 'none'
    const kept = found === 'none' && sending.isKept ? sentStays : ''
    if (typeof found === 'string')
      return printer.interrupted({ text: `${endedWithout[found]}${kept}` })
    deployment = found
  }

  done()
  const address = gateway.recordUrl(deployment.id)
  printer.accepted(deployment, address)
  if (signal.aborted) return printer.interrupted(await onInterrupt(deployment.id))
  if (command.detach) return printer.detached(deployment, address)
  const hint = (words: string) => leftOutHint(leftOut, words)
  return followToEnd(deployment, gateway, printer, { signal, onInterrupt, hint })
}

/** The gateway's door for deployments. */
function doorOf(
  app: string,
  { options, secrets }: Pick<DeployCommand, 'options' | 'secrets'>,
  gateway: Gateway,
): Door<DeploymentRecord> {
  const key = randomUUID()
  return {
    app,
    key,
    path: fill(routes.deployments, { app }),
    form: () => uploadForm(writeOptions(options), secrets),
    fields: () => ({
      ...options,
      ...(secrets.size > 0 && { secrets: Object.fromEntries(secrets) }),
    }),
    read: (answer) => readRecord(new URL(gateway.address), answer),
    digestOf: ({ source }) => source?.digest ?? null,
    async find() {
      const found = await findUploaded(app, key, gateway)
      return typeof found === 'string' ? null : found
    },
  }
}

const sentStays = ' What was sent stays with it for a day: the same command sends only the rest.'
const endedWithout = {
  none: 'Stopped: the gateway has accepted no deployment.',
  unknown:
    'Stopped. The gateway does not say whether it has accepted the deployment: see the list of the app’s deployments.',
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
