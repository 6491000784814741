import { randomUUID } from 'node:crypto'
import { AppName, appNameRule } from '#api/app.ts'
import { Problem } from '#api/problem.ts'
import type { DeploymentRecord } from '../answers.ts'
import type { AppConfig } from './app-config.ts'
import { openFolder, packFolder } from './pack-folder.ts'
import type { DeployCommand } from './read-deploy.ts'
import { followToEnd } from '../follow-deployment.ts'
import type { Gateway } from '../gateway.ts'
import { findUploaded, leaveOrCancel } from '../interrupt.ts'
import { leftOutHint } from '../ignore/left-out.ts'
import type { Printer } from '../print.ts'

/** Packs a folder, sends it, and follows the deployment to its end. Returns the exit code. */
export async function deploy(
  command: DeployCommand,
  gateway: Gateway,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const folder = await openFolder(command, 'deploy')
  const app = command.app ?? appOf(folder.config, folder.path)
  const { body, progress, facts, leftOut } = await packFolder(folder, command, printer)
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
