import type { Printer } from '../print.ts'
import { backup } from './backup.ts'
import { BuilderCalls } from './builder-calls.ts'
import type { UpkeepCommand } from './read-upkeep.ts'
import { restore } from './restore.ts'

/** Runs a command that looks after a builder. Returns the exit code. */
export function upkeep(
  command: UpkeepCommand,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const calls = new BuilderCalls(command.gateway, command.token)
  if (command.name === 'backup') return backup(command.file, calls, printer, signal)
  return restore(command, calls, printer, signal)
}
