import { Problem } from '#api/problem.ts'
import { configOf } from '#fly/machine.ts'
import type { Printer } from '../../print.ts'
import { findApp } from '../../up/builder/find-app.ts'
import { builderRole, roleKey } from '../../up/builder/machine-config.ts'
import { checkToken, readToken } from '../../up/check-token.ts'
import { openFly } from '../../up/fly-parts.ts'
import { knownBuilder } from '../../up/known-gateway.ts'
import type { UpgradeCommand } from '../../up/read-up.ts'
import { builtImage } from './built-image.ts'
import { upgradeBuilder } from './upgrade-builder.ts'

type Env = Record<string, string | undefined>

/** `tarmac upgrade`: gives the builder another image. Returns the exit code. */
export async function upgrade(
  command: UpgradeCommand,
  env: Env,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const token = await readToken(command.token)
  const fly = openFly({ env, token }, { report: printer.note, signal })
  const org = await checkToken(fly, command)
  const app = await findApp(fly, { ...command, org })
  if (!app)
    throw new Problem(
      'builder-failed',
      `There is no builder ${command.app === null ? '' : `${command.app} `}in ${org}. Make one: tarmac up.`,
    )

  const machines = await fly.machines.machines(app.name, signal)
  const [machine, ...others] = machines.filter(
    (each) => configOf(each).metadata?.[roleKey] === builderRole,
  )
  if (!machine || others.length > 0)
    throw new Problem(
      'builder-failed',
      `The builder ${app.name} has ${machine ? others.length + 1 : 'no'} machines, and an upgrade needs one. Repair it first: tarmac up --app ${app.name}.`,
    )

  const from = {
    app: app.name,
    gateway: gatewayAt(app.name, env),
    folders: [process.cwd(), import.meta.dirname],
  }
  const image = command.image ?? (await builtImage(from, printer, signal))
  const done = await upgradeBuilder(fly, app.name, { machine, image })
  printer.note(
    done.changed
      ? `upgraded ${app.name} from ${done.from}. To go back: tarmac upgrade --image ${done.from}; a gateway that does not know the records refuses to start, and the builder then stays as it is`
      : `${app.name} runs this image`,
  )
  return printer.result({ app: app.name, machineId: machine.id, ...done }, [image])
}

function gatewayAt(app: string, env: Env): { url: URL; token: string } | null {
  const { gateway, token } = knownBuilder({ app }, env)
  return gateway && URL.canParse(gateway) ? { url: new URL(gateway), token } : null
}
