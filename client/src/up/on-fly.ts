import { errorCode } from '#api/error-code.ts'
import { Problem } from '#api/problem.ts'
import type { Printer } from '../print.ts'
import { down } from './down.ts'
import type { DownCommand, UpCommand, UpgradeCommand } from './read-up.ts'
import { upgrade } from '../upkeep/upgrade/upgrade.ts'
import { up } from './up.ts'

/** Runs `tarmac up` or `tarmac down`. Returns the exit code. */
export async function onFly(
  command: UpCommand | DownCommand | UpgradeCommand,
  env: Record<string, string | undefined>,
  printer: Printer,
  signal: AbortSignal,
): Promise<number> {
  const again = `What was done so far stays. To go on, run tarmac ${command.name} again.`
  try {
    if (command.name === 'up') return await up(command, env, printer, signal)
    if (command.name === 'upgrade') return await upgrade(command, env, printer, signal)
    return await down(command, env, printer, signal)
  } catch (error) {
    if (signal.aborted) return printer.interrupted({ text: `Stopped. ${again}` })
    if (!(error instanceof Problem)) throw error
    return printer.failed(inWords(error, again), 'operator')
  }
}

/** Fly's refusals in the words of one who has the token, and not those of a gateway. */
function inWords(problem: Problem, again: string): Problem {
  const { code, facts, message } = problem
  const more = { cause: problem, facts }
  const { fly } = facts
  if (code === 'fly-denied' && typeof fly === 'string')
    return new Problem(
      code,
      `Fly refused: ${fly}. If the token lacks a right, use one of the organisation: fly tokens create org ORG. If it is a limit of the organisation, Fly raises it on request. ${again}`,
      more,
    )
  if (code === 'fly-unavailable' || code === 'fly-refused')
    return new Problem(code, `${message}${reasonOf(problem)} ${again}`, more)
  return problem
}

/** Why no answer came: it may be this computer's network. */
function reasonOf({ cause }: Problem): string {
  if (!(cause instanceof Error)) return ''
  const first = cause.cause instanceof Error ? cause.cause : cause
  return ` The connection failed here: ${first.message || errorCode(first)}. Is this computer on the network?`
}
