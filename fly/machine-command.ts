import { configOf, type Machine } from './machine.ts'

/** The command that the config gives the machine's program. Empty: the image's own. */
export function commandOf(machine: Machine): string {
  const { exec, entrypoint, cmd } = configOf(machine).init ?? {}
  return (exec ?? [...(entrypoint ?? []), ...(cmd ?? [])]).join(' ')
}
