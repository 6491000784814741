import { parseArgs } from 'node:util'
import { errorMessage } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { Printer } from '../print.ts'
import { doctor } from '../doctor/doctor.ts'
import { builderStatus } from './builder-status.ts'
import { type CommandName, nameOf } from './is-about-builder.ts'
import { builderFlags } from './flags.ts'
import { findBuilder } from './find-builder.ts'

type Env = Record<string, string | undefined>

/** The commands about a builder itself, with the options that each knows. */
const commands = {
  'builder status': ['app', 'gateway', 'token', 'json', 'wake'],
  doctor: ['app', 'gateway', 'token', 'json', 'wake', 'push', 'bundle', 'live', 'machines'],
} as const

/** Runs `tarmac builder status` or `tarmac doctor`. Returns the exit code. */
export async function operate(
  argv: readonly string[],
  env: Env,
  printer: Pick<Printer, 'note'>,
  signal: AbortSignal,
): Promise<number> {
  const name = nameOf(argv) ?? 'doctor'
  const values = parse(name, argv.slice(name.split(' ').length))
  const builder = findBuilder(values, env)
  const { json, wake } = values
  if (name === 'builder status') return builderStatus(builder, { json, wake }, signal)

  const { push, live, bundle = null } = values
  const machines = readMachines(values.machines)
  return doctor(
    builder,
    { json, wake, push, live: live || machines > 0, machines, bundle },
    { printer, signal },
  )
}

function parse(name: CommandName, args: string[]) {
  const known: readonly string[] = commands[name]
  try {
    const { values } = parseArgs({ args, options: builderFlags })
    const given = args
      .map((arg) => /^--([a-z]+)/.exec(arg)?.[1])
      .find((each) => each && !known.includes(each))
    if (given) throw new Error(`--${given} is not an option of tarmac ${name}`)
    return values
  } catch (error) {
    throw wrongUse(`${errorMessage(error).split('. ')[0]}. See tarmac --help.`)
  }
}

function readMachines(text: string | undefined): number {
  if (text === undefined) return 0
  const machines = Number(text)
  if (Number.isInteger(machines) && machines >= 1 && machines <= 100) return machines
  throw wrongUse(`--machines is given a whole number from 1 to 100, not ${text}.`)
}

const wrongUse = (detail: string) => new Problem('option-invalid', detail)
