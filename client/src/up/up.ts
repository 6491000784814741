import { configOf } from '#fly/machine.ts'
import type { Printer } from '../print.ts'
import { checkToken, readToken } from './check-token.ts'
import { awaitReady } from './builder/await-ready.ts'
import { applyConfig } from './builder/change-machine.ts'
import { type BuilderInfo, ensureBuilder } from './builder/ensure-builder.ts'
import { type FlyParts, openFly } from './fly-parts.ts'
import { howToReach } from './how-to-reach.ts'
import { imageMaker } from './image/image-maker.ts'
import type { UpCommand } from './read-up.ts'
import { areOfMachine, gatewayOf, markOf, secretsOf } from './secrets.ts'
import { readSideFile, setSideFileAside, type SideFile, sidePath } from './side-file.ts'

type Env = Record<string, string | undefined>

/** `tarmac up`: makes or repairs the builder, and prints how to use it. Returns the exit code. */
export async function up(
  command: UpCommand,
  env: Env,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const flyToken = await readToken(command.token)
  const fly = openFly({ env, token: flyToken }, { report: printer.note, signal })
  const org = await checkToken(fly, command)

  const before = new Map<string, string>()
  const keep = secretsOf({ env, flyToken, report: printer.note })
  const makers = {
    buildImage: imageMaker(fly, { env, folder: import.meta.dirname ?? process.cwd() }),
    secretsOf(app: string, names: string[]) {
      const values = keep(app, names)
      for (const [name, value] of Object.entries(values)) before.set(name, value)
      return values
    },
  }
  const request = { ...command, org, tokenMark: markOf(flyToken) }
  const builder = await ensureBuilder(fly, request, makers)

  const { appName } = builder
  const path = sidePath(env, appName)
  const file = await checkedFile(fly, builder, { path, isNew: before.size > 0 })
  const lines = [`TARMAC_GATEWAY=${gatewayOf(appName)}`]
  // Shown once: when they are new.
  const shown = file ? before : new Map<string, string>()
  if (shown.has('TARMAC_TOKENS')) lines.push(`TARMAC_TOKEN=${shown.get('TARMAC_TOKENS')}`)
  if (shown.has('TARMAC_SECRETS_KEY'))
    lines.push(`TARMAC_SECRETS_KEY=${shown.get('TARMAC_SECRETS_KEY')}`)
  for (const text of howToReach(builder, { path, hasToken: Boolean(file?.TARMAC_TOKEN) }))
    printer.note(text)
  if (before.size > 0)
    printer.note('next: tarmac doctor, which tries all ways to it; then tarmac deploy APP [FOLDER]')
  return printer.result({ ...builder, org, gateway: gatewayOf(appName), file: path }, lines)
}

/**
 * The side file, if the machine works with its token and key. Another `tarmac up` at the same time
 * may have set its own: the last one that Fly has counts. A machine that was made before it is
 * started again with it.
 */
async function checkedFile(
  fly: FlyParts,
  { appName: app, machineId: id }: BuilderInfo,
  { path, isNew }: { path: string; isNew: boolean },
): Promise<SideFile | null> {
  const file = readSideFile(path)
  const ref = { app, id }
  if (!file) return null
  // A token that is not in the environment may be one that the gateway itself has made.
  const sure = isNew ? file : { TARMAC_SECRETS_KEY: file.TARMAC_SECRETS_KEY ?? '' }
  if ((await areOfMachine(fly, ref, sure)) !== false) return file
  if (!isNew) {
    fly.report(
      `warning: the builder does not work with the key in ${path}. It was changed since: correct the file`,
    )
    return file
  }

  const machine = await fly.machines.machine(ref, fly.signal)
  fly.report(`machine ${id}: has other secrets than this run has set; starting it with Fly's`)
  if (machine) {
    const config = configOf(machine)
    await applyConfig(fly, app, { machine, config, description: 'tarmac up' })
    await awaitReady(fly, ref, { isNew: false })
  }
  if ((await areOfMachine(fly, ref, file)) !== false) return file
  const kept = setSideFileAside(path)
  fly.report(
    `another tarmac up has made this builder at the same time, on another computer. Its token and key count; those of this run were moved to ${kept ?? path} and are of no use`,
  )
  return null
}
