import type { Printer } from '../print.ts'
import { checkToken, readToken } from './check-token.ts'
import { ensureBuilder } from './builder/ensure-builder.ts'
import { openFly } from './fly-parts.ts'
import { howToReach } from './how-to-reach.ts'
import { imageMaker } from './image/image-maker.ts'
import type { UpCommand } from './read-up.ts'
import { gatewayOf, markOf, secretsOf } from './secrets.ts'
import { readSideFile, sidePath } from './side-file.ts'

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
  const file = readSideFile(path)
  const lines = [`TARMAC_GATEWAY=${gatewayOf(appName)}`]
  // Shown once: when they are new.
  if (before.has('TARMAC_TOKENS')) lines.push(`TARMAC_TOKEN=${before.get('TARMAC_TOKENS')}`)
  if (before.has('TARMAC_SECRETS_KEY'))
    lines.push(`TARMAC_SECRETS_KEY=${before.get('TARMAC_SECRETS_KEY')}`)
  for (const text of howToReach(builder, { path, hasToken: Boolean(file?.TARMAC_TOKEN) }))
    printer.note(text)
  if (before.size > 0)
    printer.note('next: tarmac doctor, which tries all ways to it; then tarmac deploy APP [FOLDER]')
  return printer.result({ ...builder, org, gateway: gatewayOf(appName), file: path }, lines)
}
