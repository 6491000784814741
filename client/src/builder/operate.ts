import { doctor } from '../doctor/doctor.ts'
import type { Values } from '../flags.ts'
import { wrongUse } from '../option.ts'
import type { Printer } from '../print.ts'
import { builderStatus } from './builder-status.ts'
import { type Builder, findBuilder } from './find-builder.ts'

type Env = Record<string, string | undefined>

export type BuilderCommand = {
  name: 'builder status' | 'doctor'
  builder: Builder
  json: boolean
  wake: boolean
  push: boolean
  live: boolean
  /** Whether the live test makes a preview, instead of a deployment. */
  preview: boolean
  /** How many machines the live test makes at once. */
  machines: number
  bundle: string | null
}

/** Null: it is no command about a builder. Throws a Problem with exit code 2 for a wrong option. */
export function readBuilderCommand(
  [name, ...args]: string[],
  values: Values,
  env: Env,
): BuilderCommand | null {
  const isStatus = name === 'builder' && args.length === 1 && args[0] === 'status'
  if (!isStatus && !(name === 'doctor' && args.length === 0)) return null
  const { json, wake, push, live, preview, bundle = null } = values
  const machines = readMachines(values.machines)
  if (preview && machines > 0) throw wrongUse('Give --preview or --machines, not both.')
  return {
    name: isStatus ? 'builder status' : 'doctor',
    builder: findBuilder(values, env),
    json,
    wake,
    push,
    live: live || preview || machines > 0,
    preview,
    machines,
    bundle,
  }
}

/** Runs `tarmac builder status` or `tarmac doctor`. Returns the exit code. */
export function operate(
  { name, builder, ...more }: BuilderCommand,
  printer: Pick<Printer, 'note'>,
  signal: AbortSignal,
): Promise<number> {
  if (name === 'builder status') return builderStatus(builder, more, signal)
  return doctor(builder, more, { printer, signal })
}

function readMachines(text: string | undefined): number {
  if (text === undefined) return 0
  const machines = Number(text)
  if (Number.isInteger(machines) && machines >= 1 && machines <= 100) return machines
  throw wrongUse(`--machines is given a whole number from 1 to 100, not ${text}.`)
}
